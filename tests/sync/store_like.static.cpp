// SPDX-License-Identifier: MIT
// Goal: StoreLike accepts exactly the documented types. Method: an archetype, and types that
// lack one requirement each.
#include <belay/sync/store_like.hpp>

#include "support/sync/sync_archetypes.hpp"

using belay_test::MinimalStore;

struct StoreWithoutOperations : MinimalStore {
    using operation_type = int;
};
struct FindsWithoutErrors : MinimalStore {
    belay::part::ElementState find(const belay::part::ElementKey&);
};
struct ReadsNoOptional : MinimalStore {
    belay::Result<belay_test::MinimalValue> read(const belay::part::ElementKey&);
};
struct AddsWithoutError : MinimalStore {
    void add(const belay::part::ElementKey&, const belay_test::MinimalValue&,
             const belay::part::WriteMark&);
};
struct UpdatesWithoutMark : MinimalStore {
    std::error_code update(const belay::part::ElementKey&, const belay_test::MinimalValue&);
};
struct RemovesWithoutMark : MinimalStore {
    std::error_code remove(const belay::part::ElementKey&);
};
struct KnowsWithoutHash : MinimalStore {
    belay::Result<bool> applied(const belay::Id&);
};
struct KnowsHashesOnly : MinimalStore {
    belay::Result<std::optional<std::uint64_t>> applied(const belay::Id&);
};
struct ExpiresWithoutError : MinimalStore {
    void expire(belay::WallTime);
};
struct ThrowingHorizon : MinimalStore {
    belay::WallTime horizon() const;
};
struct Transacting : MinimalStore {
    std::error_code transaction(auto& body) { return body(); }
};
// Members that cannot be used would be ignored.
struct TransactingWithoutError : MinimalStore {
    void transaction(auto& body) { body(); }
};
struct TransactingPrivately : MinimalStore {
private:
    std::error_code transaction(auto& body) { return body(); }
};
struct Listing : MinimalStore {
    belay::Result<belay::part::ChangesPage<operation_type::value_type>> changes_since(
        std::string_view, const belay::part::StoreCursor&, std::size_t);
};
struct ListingByNumbers : MinimalStore {
    belay::Result<belay::part::ChangesPage<operation_type::value_type>> changes_since(
        std::string_view, std::uint64_t);
};
using MinimalReplaced =
    belay::part::ReplacedVersion<belay_test::MinimalStore::operation_type::value_type>;
struct RemembersReplacedVersions : MinimalStore {
    belay::Result<std::optional<MinimalReplaced>> replaced(const belay::Id&);
};
struct ReplacedWithoutOptional : MinimalStore {
    belay::Result<MinimalReplaced> replaced(const belay::Id&);
};

static_assert(belay::StoreLike<MinimalStore>);
static_assert(!belay::detail::HasReplaced<MinimalStore>);
static_assert(belay::StoreLike<RemembersReplacedVersions>);
static_assert(belay::detail::HasReplaced<RemembersReplacedVersions>);
static_assert(!belay::StoreLike<ReplacedWithoutOptional>);
static_assert(!belay::detail::HasChangesSince<MinimalStore>);
static_assert(belay::StoreLike<Listing>);
static_assert(belay::detail::HasChangesSince<Listing>);
static_assert(!belay::StoreLike<ListingByNumbers>);
static_assert(!belay::detail::HasTransaction<MinimalStore>);
static_assert(belay::StoreLike<Transacting>);
static_assert(belay::detail::HasTransaction<Transacting>);
static_assert(!belay::StoreLike<StoreWithoutOperations>);
static_assert(!belay::StoreLike<FindsWithoutErrors>);
static_assert(!belay::StoreLike<ReadsNoOptional>);
static_assert(!belay::StoreLike<AddsWithoutError>);
static_assert(!belay::StoreLike<UpdatesWithoutMark>);
static_assert(!belay::StoreLike<RemovesWithoutMark>);
static_assert(!belay::StoreLike<KnowsWithoutHash>);
static_assert(!belay::StoreLike<KnowsHashesOnly>);
static_assert(!belay::StoreLike<ExpiresWithoutError>);
static_assert(!belay::StoreLike<ThrowingHorizon>);
static_assert(!belay::StoreLike<TransactingWithoutError>);
static_assert(!belay::StoreLike<TransactingPrivately>);
static_assert(!belay::StoreLike<int>);
