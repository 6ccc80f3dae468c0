"use strict";

require("./support/differential").playAll("observed");
