"use strict";

require("./support/differential").playAll("http");
