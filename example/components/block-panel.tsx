'use client';

import { useState } from 'react';
import controls from './controls.module.css';
import { Panel } from './panel';

const BLOCK_MS = 2_000;

/** Shows what the hub is for: with Node's event loop busy, pages wait and the text does not. */
export function BlockPanel() {
  const [isBusy, setBusy] = useState(false);
  const block = async () => {
    setBusy(true);
    await fetch(`/api/block?ms=${BLOCK_MS}`, { cache: 'no-store' }).catch(() => undefined);
    setBusy(false);
  };
  return (
    <Panel title="Busy server">
      <button type="button" className={controls.quiet} onClick={block} disabled={isBusy}>
        {isBusy ? 'Node is busy…' : 'Block Node for 2 seconds'}
      </button>
      <p className={controls.note} style={{ marginTop: 10 }}>
        Pages and API calls wait. The text and the cursors go on: they never pass through Node.
      </p>
    </Panel>
  );
}
