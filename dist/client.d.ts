export { Client } from "../types/client";
