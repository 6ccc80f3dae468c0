"use strict";

const { BroadcastOperator, RemoteSocket } = require("../lib/broadcast-operator");

module.exports = { BroadcastOperator, RemoteSocket };
