// The runs of a scenario.

/**
 * The same measurement of each server.
 *
 * @param {string[]} servers
 * @param {(tools: object) => Promise<object>} measure
 */
export const runsOf = (servers, measure) => Object.fromEntries(servers.map((server) => [server, { server, measure }]));
