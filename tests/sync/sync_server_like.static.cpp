// SPDX-License-Identifier: MIT
// Goal: a server of a Replica needs send and changes, both with errors. Method: near misses.
#include <belay/sync/sync_server_like.hpp>

#include <string>

#include <belay/sync/operation.hpp>

namespace {

using Op = belay::Operation<std::string>;
using Page = belay::part::ChangesPage<std::string>;

struct MinimalSyncServer {
    belay::Result<belay::SyncResult<Op>> send(std::span<const Op>);
    belay::Result<Page> changes(const belay::part::StoreCursor&);
};
struct SendsWithoutErrors : MinimalSyncServer {
    belay::SyncResult<Op> send(std::span<const Op>);
};
struct ChangesByNumber {
    belay::Result<belay::SyncResult<Op>> send(std::span<const Op>);
    belay::Result<Page> changes(int);
};

static_assert(belay::part::SyncServerLike<MinimalSyncServer, Op>);
static_assert(belay::explain::sync_server_like<MinimalSyncServer, Op>());
static_assert(!belay::part::SyncServerLike<SendsWithoutErrors, Op>);
static_assert(!belay::part::SyncServerLike<ChangesByNumber, Op>);

}  // namespace
