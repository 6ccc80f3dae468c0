"use strict";

require("./support/differential").playAll("https");
