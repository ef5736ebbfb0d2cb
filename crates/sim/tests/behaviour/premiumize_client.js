// Drives the simulated Premiumize with a client that others wrote. Arguments: base URL, token, cached info-hash.
'use strict'

const assert = require('assert')
const PremiumizeClient = require('premiumize-api')

async function refused (promise) {
  try {
    await promise
  } catch (error) {
    return error.message
  }
  throw new Error('a call was not refused')
}

async function main (base, token, hash) {
  const client = new PremiumizeClient(token, { base_url: base })
  const account = await client.account.info()
  assert(account.premium_until > 0 && account.limit_used === 0, JSON.stringify(account))
  const top = await client.folder.list()
  assert.deepStrictEqual(top.content.map((entry) => [entry.name, entry.type]), [['Film.2020.mkv', 'file'], ['Show.S01', 'folder']])
  const show = await client.folder.list(top.content[1].id, true)
  assert.deepStrictEqual(show.content.map((entry) => entry.name), ['E01.mkv', 'Subs'])
  assert.strictEqual(show.breadcrumbs[0].name, 'Show.S01')
  const { files } = await client.item.listAll()
  assert.deepStrictEqual(files.map((file) => file.path).sort(), ['Film.2020.mkv', 'Show.S01/E01.mkv', 'Show.S01/Subs/E01.srt'])
  const details = await client.item.details(top.content[0].id)
  assert(details.link.includes('/dl/') && details.size === 5000, JSON.stringify(details))

  const checked = await client.cache.check([hash, 'f'.repeat(40)])
  assert.deepStrictEqual(checked.response, [true, false])
  assert.strictEqual(checked.filesize[0], '5000')
  const direct = await client.transfer.directDownload(`magnet:?xt=urn:btih:${hash}`)
  assert.deepStrictEqual(direct.content.map((file) => [file.path, file.size]), [['Cached.2021.mkv', 5000]])
  assert.match(await refused(client.transfer.directDownload('f'.repeat(40))), /not in cache/)

  const folder = await client.folder.create('mine')
  const added = await client.transfer.create(`magnet:?xt=urn:btih:${hash}`, null, folder.id)
  const { transfers } = await client.transfer.list()
  const transfer = transfers.find((one) => one.id === added.id)
  assert.deepStrictEqual([transfer.status, transfer.folder_id], ['finished', folder.id])
  assert(transfer.file_id)
  assert.deepStrictEqual((await client.folder.list(folder.id)).content.map((entry) => entry.name), ['Cached.2021.mkv'])
  await client.folder.rename(folder.id, 'yours')
  await client.item.rename(transfer.file_id, 'b.mkv')
  assert((await client.item.listAll()).files.some((file) => file.path === 'yours/b.mkv'))
  await client.folder.paste(top.folder_id, [transfer.file_id])
  assert((await client.item.listAll()).files.some((file) => file.path === 'b.mkv'))
  await client.transfer.delete(added.id)
  assert(!(await client.item.listAll()).files.some((file) => file.path === 'b.mkv'), 'its file is deleted with it')
  await client.transfer.clearFinished()
  assert.deepStrictEqual((await client.transfer.list()).transfers, [])
  assert.strictEqual((await client.item.listAll()).files.length, 3)
  await client.item.delete(top.content[0].id)
  await client.folder.delete(top.content[1].id)
  assert.deepStrictEqual((await client.item.listAll()).files, [])
  assert.match(await refused(client.item.details(top.content[0].id)), /not found/)
  assert.match(await refused(new PremiumizeClient('wrong', { base_url: base }).account.info()), /Not logged in/)
  assert((await client.services.list()).directdl.length > 0)
  console.log('all calls did as they say')
}

main(...process.argv.slice(2)).catch((error) => {
  console.error(error)
  process.exit(1)
})
