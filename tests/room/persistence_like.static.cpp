// SPDX-License-Identifier: MIT
// Goal: PersistenceLike accepts its minimal model, and rejects types with another form of it.
#include <belay/room/persistence_like.hpp>

#include <belay/room/memory_rooms.hpp>

#include "support/room/room_archetypes.hpp"

namespace {

using namespace belay;
using belay_test::MinimalPersistence;
using belay_test::PersistenceWithRoomsToSave;

struct WithoutLoad : MinimalPersistence {
    static void load() {}
};
struct LoadTakesNoAnswer : MinimalPersistence {
    static Result<std::optional<StoredRoom>, PersistenceError> load(std::string_view) {
        return std::optional<StoredRoom>{};
    }
};
struct AppendReturnsAPosition : MinimalPersistence {
    static Result<std::uint64_t> append(std::string_view, BytesView) { return std::uint64_t{1}; }
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
struct RoomsToSaveReturnsTrue : MinimalPersistence {
    static bool rooms_to_save() { return true; }
};
struct RoomsToSaveReturnsOneRoom : MinimalPersistence {
    static std::optional<std::string> rooms_to_save() { return {}; }
};
struct RoomsToSaveOfAnotherForm : MinimalPersistence {
    static std::vector<std::string> rooms_to_save(int) { return {}; }
    static std::vector<std::string> rooms_to_save(double) { return {}; }
};
class RoomsToSaveInPrivate : public MinimalPersistence {
    [[maybe_unused]] static std::vector<std::string> rooms_to_save() { return {}; }
};

static_assert(PersistenceLike<MinimalPersistence>);
static_assert(explain::persistence_like<MinimalPersistence>());
static_assert(PersistenceLike<PersistenceWithRoomsToSave>);
static_assert(explain::persistence_like<PersistenceWithRoomsToSave>());
static_assert(detail::HasRoomsToSave<PersistenceWithRoomsToSave>);
static_assert(!detail::HasRoomsToSave<MinimalPersistence>);
static_assert(PersistenceLike<MemoryRooms> && !detail::HasRoomsToSave<MemoryRooms>);
static_assert(!PersistenceLike<WithoutLoad> && !PersistenceLike<LoadTakesNoAnswer>);
static_assert(!PersistenceLike<AppendReturnsAPosition> && !PersistenceLike<WithoutReset>);
static_assert(!PersistenceLike<EraseReturnsNothing> && !PersistenceLike<FlushAtOnce>);
static_assert(!PersistenceLike<SaveOfOne> && !PersistenceLike<ListOfAll>);
static_assert(!PersistenceLike<RoomsToSaveReturnsOneRoom>);
static_assert(!PersistenceLike<RoomsToSaveReturnsTrue> &&
              !PersistenceLike<RoomsToSaveOfAnotherForm>);
static_assert(!PersistenceLike<RoomsToSaveInPrivate> && !PersistenceLike<int>);

}  // namespace
