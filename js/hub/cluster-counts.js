'use strict';

// Who is there, over all processes that are one hub. src/binding/counts.rs is the other side.

/** Connections, and those of each document. */
function clusterCounts(native) {
  const { processes, connections, documents, counts } = native.clusterCounts();
  return { processes, connections, documents: new Map(documents.map((id, index) => [id, counts[index]])) };
}

/** The processes, this one first. */
function processes(native) {
  return native.processes().map(({ since, ...process }) => ({ ...process, since: new Date(since) }));
}

module.exports = { clusterCounts, processes };
