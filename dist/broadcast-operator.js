"use strict";

const { BroadcastOperator, RemoteSocket } = require("../lib/api/broadcast-operator");

module.exports = { BroadcastOperator, RemoteSocket };
