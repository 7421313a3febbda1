// SPDX-License-Identifier: MIT
// Goal: a sqlite::Store is a store with transactions, for any codec and operation.
#include <belay/sqlite/store.hpp>

#include "support/sync/text_codec.hpp"

using Store = belay::sqlite::Store<belay_test::TextCodec>;
static_assert(belay::StoreLike<Store>);
static_assert(belay::detail::HasTransaction<Store>);
static_assert(!std::copyable<Store>);
static_assert(std::movable<Store>);
