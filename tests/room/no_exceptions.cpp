// SPDX-License-Identifier: MIT
// Goal: a program built without exceptions and RTTI reads, merges, cuts and stores updates.
#include <cstdio>
#include <future>
#include <span>

#include <belay/drive/manual_loop.hpp>
#include <belay/journal/journal.hpp>
#include <belay/room.hpp>
#include <belay/room/on_thread.hpp>
#include <belay/sim/disk.hpp>

using namespace belay;

namespace {

/// Sends a server's own edits through the storage and back.
int rooms_without_exceptions(BytesView update) {
    ManualLoop loop;
    RoomManager rooms{MemoryRooms{}, EveryoneEdits{}, RoomOptions{}};
    loop.attach(rooms);
    rooms.start();
    if (!rooms.get_or_create_room("board")) return 20;
    loop.poll();
    if (rooms.apply_update("board", update)) return 21;
    loop.poll();
    const auto state = rooms.get_state("board");
    if (!state || state->size() != 1 || rooms.counters().updates != 1) return 22;
    int answered = 0;
    rooms.export_room(
        "board", Completion<part::LoadedRoom>{[&](std::optional<part::LoadedRoom> room) noexcept {
            if (room && *room && **room) ++answered;
        }});
    rooms.list("", 9,
               Completion<part::ListedRooms>{[&](std::optional<part::ListedRooms> found) noexcept {
                   if (found && *found && (*found)->size() == 1) ++answered;
               }});
    rooms.import_room("copy", {.updates = *state},
                      Completion<PersistenceError>{[&](auto error) noexcept {
                          if (error && !*error) ++answered;
                      }});
    loop.poll();
    for (const char* board : {"copy", "nowhere"}) {
        rooms.erase(board, Completion<PersistenceError>{[&](auto error) noexcept {
                        if (error && !*error) ++answered;
                    }});
    }
    for (int i = 0; i < 4; ++i) loop.poll();
    if (answered != 5 || rooms.rooms() != 1) return 24;
    rooms.stop();
    for (int i = 0; i < 4; ++i) loop.poll();
    return rooms.rooms() == 0 ? 0 : 23;
}

/// Begins a room, stores it by another thread, and finds it at the next opening.
bool stores_rooms() {
    using Log = Journal<sim::Disk>;
    sim::Disk disk;
    for (const bool again : {false, true}) {
        auto log = Log::open(disk, "log", {.seed = Seed{again ? 2U : 1U}});
        if (!log) return false;
        auto rooms = JournalRooms<Log, sim::Disk>::open(disk, "rooms", std::move(*log));
        if (!rooms) return false;
        OnThread persistence{std::move(*rooms)};
        if (!again) {
            if (persistence.reset("a", Id{}) || persistence.append("a", Bytes(3))) return false;
            persistence.flush(Completion<part::FlushedRooms>{[](auto) noexcept {}});
        }
        std::promise<void> answered;
        bool found = false;
        persistence.load(
            "a", Completion<part::LoadedRoom>{[&](std::optional<part::LoadedRoom> room) noexcept {
                found = room && *room && **room;
                answered.set_value();
            }});
        answered.get_future().wait();
        if (!found) return false;
    }
    return true;
}

}  // namespace

int main() {
    const unsigned char update[] = {1, 1, 7, 0, 4, 1, 1, 't', 2, 'h', 'i', 0};
    const BytesView bytes = std::as_bytes(std::span{update});
    const auto merged = yjs::merge_updates({bytes, bytes});
    if (!merged || merged->update.size() != bytes.size() || merged->conflicts != 0) return 1;
    const auto sv = yjs::state_vector(bytes);
    if (!sv || yjs::diff_update(bytes, *sv)->size() != 2) return 2;
    if (yjs::split_update(bytes, yjs::split_bytes_min)->size() != 1) return 3;
    if (yjs::scrub(bytes)->size() != yjs::coalesce(bytes)->size()) return 4;
    const auto cut = yjs::validate(bytes.first(5));
    if (cut || cut.error().message().empty()) return 5;
    YjsDocument document;
    if (!document.check(bytes).value_or(false) || document.apply(bytes)) return 6;
    if (document.check(bytes).value_or(true) && document.snapshot().size() != 1) return 7;
    const HocuspocusProtocol hocuspocus;
    const Bytes granted =
        hocuspocus.write({part::RoomMessage::Kind::granted, as_bytes("view"), {}});
    if (granted.size() != 11 || hocuspocus.read(granted)) return 10;
    if (const int failed = rooms_without_exceptions(bytes)) return failed;
    if (!stores_rooms()) return 9;
    std::puts("ok");
    return 0;
}
