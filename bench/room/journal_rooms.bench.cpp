// SPDX-License-Identifier: MIT
// What it costs to store a turn in which a hundred rooms changed, and to load a room: beside what one
// would write by hand, a log file for each room and a snapshot that is read whole.
#include <fcntl.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <belay/posix/journal_rooms.hpp>

#include "queue/compared_queues.hpp"

namespace {

using namespace belay;
using belay_bench::Scratch;

constexpr int rooms_changed = 100;

std::string id_of(int i) { return "0a1b2c3d-0000-4000-8000-" + std::to_string(100000000000 + i); }

posix::JournalRooms open_rooms(const Scratch& scratch) {
    auto log = posix::Journal::open(scratch / "log");
    auto rooms = posix::JournalRooms::open(scratch / "rooms", std::move(log.value()));
    return std::move(rooms.value());
}
part::FlushedRooms flushed(posix::JournalRooms& rooms) {
    driver::Question<part::FlushedRooms> question;
    rooms.flush(question.ask());
    return *question.take();
}
bool is_stored(posix::JournalRooms& rooms) { return !flushed(rooms).error; }

/// A hundred updates of a hundred rooms, durable.
void turn_in_a_log(benchmark::State& state) {
    const Scratch scratch;
    posix::JournalRooms rooms = open_rooms(scratch);
    const Bytes update(60, std::byte{'u'});
    for (int i = 0; i < rooms_changed; ++i) {
        if (rooms.reset(id_of(i), Id{})) return state.SkipWithError("reset");
    }
    for (auto _ : state) {
        for (int i = 0; i < rooms_changed; ++i) {
            if (rooms.append(id_of(i), update)) return state.SkipWithError("append");
        }
        if (!is_stored(rooms)) return state.SkipWithError("flush");
    }
    state.SetItemsProcessed(rooms_changed * state.iterations());
}
BENCHMARK(turn_in_a_log)->Name("room/journal_rooms/turn_of_100/belay")->UseRealTime();

void turn_in_files(benchmark::State& state) {
    const Scratch scratch;
    std::vector<int> files;
    const Bytes update(60, std::byte{'u'});
    for (int i = 0; i < rooms_changed; ++i) {
        const std::string path = scratch / id_of(i).c_str();
        files.push_back(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    }
    for (auto _ : state) {
        for (const int file : files) {
            const bool stored = ::write(file, update.data(), update.size()) ==
                                    static_cast<ssize_t>(update.size()) &&
                                ::fdatasync(file) == 0;
            if (!stored) return state.SkipWithError("write");
        }
    }
    for (const int file : files) ::close(file);
    state.SetItemsProcessed(rooms_changed * state.iterations());
}
BENCHMARK(turn_in_files)->Name("room/journal_rooms/turn_of_100/file_per_room")->UseRealTime();

constexpr int rooms_loaded = 10'000;
constexpr std::size_t snapshot_bytes = 2000;

/// Ten thousand rooms with a snapshot, and an update behind it; made once.
std::optional<posix::JournalRooms> make_rooms(const Scratch& scratch) {
    posix::JournalRooms rooms = open_rooms(scratch);
    const std::vector<Bytes> snapshot{Bytes(snapshot_bytes)};
    for (int i = 0; i < rooms_loaded; ++i) {
        if (rooms.reset(id_of(i), Id{})) return std::nullopt;
    }
    const part::FlushedRooms begun = flushed(rooms);
    if (begun.error) return std::nullopt;
    for (const auto& [id, position] : begun.positions) {
        driver::Question<PersistenceError> saved;
        rooms.save(id, snapshot, position, saved.ask());
        if (*saved.take() || rooms.append(id, Bytes(60))) return std::nullopt;
    }
    if (!is_stored(rooms)) return std::nullopt;
    return rooms;
}

void load_room(benchmark::State& state) {
    static const Scratch scratch;
    static std::optional<posix::JournalRooms> rooms = make_rooms(scratch);
    if (!rooms) return state.SkipWithError("the rooms could not be created");
    int next = 0;
    for (auto _ : state) {
        driver::Question<part::LoadedRoom> loaded;
        rooms->load(id_of(next), loaded.ask());
        next = (next + 7919) % rooms_loaded;
        const std::optional<part::LoadedRoom> room = loaded.take();
        if (!room || !*room || !**room) return state.SkipWithError("load");
        benchmark::DoNotOptimize((**room)->updates.data());
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(load_room)->Name("room/journal_rooms/load/belay");

void read_file(benchmark::State& state) {
    const Scratch scratch;
    Bytes bytes(snapshot_bytes);
    for (int i = 0; i < rooms_loaded; ++i) {
        const std::string path = scratch / id_of(i).c_str();
        const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (::write(file, bytes.data(), bytes.size()) < 0) return state.SkipWithError("write");
        ::close(file);
    }
    int next = 0;
    for (auto _ : state) {
        const std::string path = scratch / id_of(next).c_str();
        const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        if (::read(file, bytes.data(), bytes.size()) < 0) return state.SkipWithError("read");
        ::close(file);
        next = (next + 7919) % rooms_loaded;
    }
    state.SetItemsProcessed(state.iterations());
}
BENCHMARK(read_file)->Name("room/journal_rooms/load/file");

}  // namespace
