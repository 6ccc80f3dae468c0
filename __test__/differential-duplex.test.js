"use strict";

require("./support/differential").playAll("duplex");
