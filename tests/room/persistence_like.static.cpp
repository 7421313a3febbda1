// SPDX-License-Identifier: MIT
// Goal: the smallest persistence is one; each omission, and each other form, is none.
#include <belay/room/persistence_like.hpp>

#include <belay/room/memory_rooms.hpp>

#include "support/room/room_archetypes.hpp"

namespace {

using namespace belay;
using belay_test::LaggingPersistence;
using belay_test::MinimalPersistence;

struct WithoutLoad : MinimalPersistence {
    static void load() {}
};
struct LoadTakesNoAnswer : MinimalPersistence {
    static Result<std::optional<StoredRoom>, PersistenceError> load(std::string_view) {
        return std::optional<StoredRoom>{};
    }
};
struct AppendReturnsNoPosition : MinimalPersistence {
    static std::error_code append(std::string_view, BytesView) { return {}; }
};
struct WithoutReset : MinimalPersistence {
    static void reset() {}
};
struct EraseReturnsNothing : MinimalPersistence {
    static void erase(std::string_view) {}
};
struct FlushAtOnce : MinimalPersistence {
    static std::error_code flush() { return {}; }
};
struct SaveOfOne : MinimalPersistence {
    static void save(std::string_view, const Bytes&, std::uint64_t, Completion<PersistenceError>) {}
};
struct ListOfAll : MinimalPersistence {
    static void list(Completion<Result<std::vector<std::string>, PersistenceError>>) {}
};
struct LaggingReturnsTrue : MinimalPersistence {
    static bool lagging() { return true; }
};
struct LaggingReturnsOneRoom : MinimalPersistence {
    static std::optional<std::string> lagging() { return {}; }
};
struct LaggingOfAnotherForm : MinimalPersistence {
    static std::vector<std::string> lagging(int) { return {}; }
    static std::vector<std::string> lagging(double) { return {}; }
};
class LaggingInPrivate : public MinimalPersistence {
    [[maybe_unused]] static std::vector<std::string> lagging() { return {}; }
};

static_assert(PersistenceLike<MinimalPersistence>);
static_assert(explain::persistence_like<MinimalPersistence>());
static_assert(PersistenceLike<LaggingPersistence>);
static_assert(explain::persistence_like<LaggingPersistence>());
static_assert(detail::HasLagging<LaggingPersistence>);
static_assert(!detail::HasLagging<MinimalPersistence>);
static_assert(PersistenceLike<MemoryRooms> && !detail::HasLagging<MemoryRooms>);
static_assert(!PersistenceLike<WithoutLoad> && !PersistenceLike<LoadTakesNoAnswer>);
static_assert(!PersistenceLike<AppendReturnsNoPosition> && !PersistenceLike<WithoutReset>);
static_assert(!PersistenceLike<EraseReturnsNothing> && !PersistenceLike<FlushAtOnce>);
static_assert(!PersistenceLike<SaveOfOne> && !PersistenceLike<ListOfAll>);
static_assert(!PersistenceLike<LaggingReturnsOneRoom>);
static_assert(!PersistenceLike<LaggingReturnsTrue> && !PersistenceLike<LaggingOfAnotherForm>);
static_assert(!PersistenceLike<LaggingInPrivate> && !PersistenceLike<int>);

}  // namespace
