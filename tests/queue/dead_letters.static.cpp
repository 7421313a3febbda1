// SPDX-License-Identifier: MIT
// Goal: types that accept dead letters are distinguished from types that do not, or whose result
// cannot be read.
#include <belay/queue/storage_like.hpp>

#include <belay/core/result.hpp>
#include <belay/queue/storages.hpp>

using namespace belay;

namespace {

struct Codes {
    std::error_code try_push(Bytes&&);
};
struct WithoutHooks {
    void try_push(Bytes&&);
};
struct Results {
    Result<int> try_push(Bytes&&);
};
struct Lines {
    bool try_push(std::string&&);
};

}  // namespace

static_assert(detail::DeadLetterStorage<KeepDead>);
static_assert(detail::DeadLetterStorage<Deque<Bytes>>);
static_assert(detail::DeadLetterStorage<Codes>);
static_assert(!detail::DeadLetterStorage<WithoutHooks>);
static_assert(!detail::DeadLetterStorage<Results>, "true would be an error, or not");
static_assert(!detail::DeadLetterStorage<Lines>);
static_assert(!detail::DeadLetterStorage<const Deque<Bytes>>);
