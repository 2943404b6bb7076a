// The chat transport after a reload, and below a chat of the AI SDK.
import assert from 'node:assert/strict';
import test, { describe } from 'node:test';
import { freshThread, Script } from '../support/fake-socket.mjs';
import { until } from '../support/processes.mjs';
import { all, answer, Chat, send, Storage, textOf, transportOf, useStage } from '../support/transport-stage.mjs';

const stage = useStage();

describe('a reload', () => {
  test('there is nothing to resume in a thread without streams', async () => {
    assert.equal(await transportOf().reconnectToStream({ chatId: freshThread() }), null);
  });

  test('a stream that runs is read from its start', async () => {
    const script = new Script();
    stage.onRequest = script.onRequest;
    const [chatId, storage] = [freshThread(), new Storage()];
    const reader = (await send(transportOf({ storage }), chatId)).getReader();
    script.write({ type: 'start' });
    await reader.read();
    stage.transports.pop().close();
    await assert.rejects(reader.read(), { code: 'CLOSED' });
    storage.set(`captify-agent:${chatId}`, script.request.streamId); // a page that goes has no time to tidy up
    const resumed = await transportOf({ storage }).reconnectToStream({ chatId });
    script.write({ type: 'finish' });
    script.end();
    assert.deepEqual(await all(resumed), [{ type: 'start' }, { type: 'finish' }]);
    assert.equal(storage.size, 0, 'what was read to its end is not remembered');
  });

  test('the stream this window was reading is read also if it ended meanwhile', async () => {
    let streamId;
    stage.onRequest = (request) => ((streamId = request.streamId), answer(['whole']));
    const [chatId, storage] = [freshThread(), new Storage()];
    await all(await send(transportOf(), chatId));
    storage.set(`captify-agent:${chatId}`, streamId);
    assert.equal(textOf(await all(await transportOf({ storage }).reconnectToStream({ chatId }))), 'whole');
  });

  test('a stream that ended, and that this window has read, is not read again', async () => {
    stage.onRequest = () => answer(['whole']);
    const [chatId, storage] = [freshThread(), new Storage()];
    await all(await send(transportOf({ storage }), chatId));
    assert.equal(await transportOf({ storage }).reconnectToStream({ chatId }), null);
  });

  test('a stream the server has no more is nothing to resume', async () => {
    const [chatId, storage] = [freshThread(), new Storage()];
    storage.set(`captify-agent:${chatId}`, 'gone');
    assert.equal(await transportOf({ storage }).reconnectToStream({ chatId }), null);
    assert.equal(storage.size, 0);
  });

  test('a server that restarted in the middle of a stream fails it with UNKNOWN_STREAM', async () => {
    const script = new Script();
    stage.onRequest = script.onRequest;
    const reader = (await send(transportOf(), freshThread())).getReader();
    script.write({ type: 'start' });
    await reader.read();
    // What a process has of its streams goes with it.
    globalThis[Symbol.for('@captify-io/hub/agent@1')].delete('/ws/transport');
    await stage.restart();
    await assert.rejects(reader.read(), { code: 'UNKNOWN_STREAM' });
  });
});

describe('with a chat of the AI SDK', () => {
  test('a message is answered', async () => {
    stage.onRequest = () => answer(['Hel', 'lo']);
    const chat = new Chat(freshThread(), transportOf());
    await chat.sendMessage({ text: 'hi' });
    assert.deepEqual([chat.status, chat.text], ['ready', 'Hello']);
  });

  test('stop ends the answer, keeps what there is of it, and the next message is answered', async () => {
    const script = new Script();
    stage.onRequest = script.onRequest;
    const chat = new Chat(freshThread(), transportOf());
    const sent = chat.sendMessage({ text: 'hi' });
    script.write({ type: 'start' }, { type: 'text-start', id: 't' }, { type: 'text-delta', id: 't', delta: 'half' });
    await until('half an answer', () => chat.text === 'half');
    await chat.stop();
    await sent;
    assert.deepEqual([chat.status, chat.text], ['ready', 'half']);
    await until('the producer to be told', () => script.request.signal.aborted);
    stage.onRequest = () => answer(['whole']);
    await chat.sendMessage({ text: 'again' });
    assert.equal(chat.text, 'whole');
  });

  test('a resumed answer is read to its end, and can be stopped', async () => {
    const script = new Script();
    stage.onRequest = script.onRequest;
    const chatId = freshThread();
    await send(transportOf(), chatId);
    await until('the stream to start', () => script.request);
    const chat = new Chat(chatId, transportOf());
    const resumed = chat.resumeStream();
    script.write({ type: 'start' }, { type: 'text-start', id: 't' }, { type: 'text-delta', id: 't', delta: 'half' });
    await until('half an answer', () => chat.text === 'half');
    await chat.stop();
    await resumed;
    assert.equal(chat.status, 'ready');
    await until('the producer to be told', () => script.request.signal.aborted);
  });

  test('resuming twice at once ends nothing', async () => {
    const script = new Script();
    stage.onRequest = script.onRequest;
    const chatId = freshThread();
    await send(transportOf(), chatId);
    await until('the stream to start', () => script.request);
    const chat = new Chat(chatId, transportOf());
    const both = [chat.resumeStream(), chat.resumeStream()];
    script.write({ type: 'text-start', id: 't' }, { type: 'text-delta', id: 't', delta: 'whole' });
    await until('an answer', () => chat.text === 'whole');
    script.write({ type: 'finish' });
    script.end();
    await Promise.all(both);
    assert.deepEqual([chat.status, chat.text, script.request.signal.aborted], ['ready', 'whole', false]);
  });

  test('an error of the server is the error of the chat', async () => {
    stage.onRequest = () => {
      throw new Error('secret');
    };
    const chat = new Chat(freshThread(), transportOf());
    await chat.sendMessage({ text: 'hi' });
    assert.deepEqual([chat.status, chat.error.code], ['error', 'STREAM_FAILED']);
  });
});
