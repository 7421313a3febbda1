// SPDX-License-Identifier: MIT
// Goal: a crash loses no change that a flush or save confirmed, and leaves no partial change.
// Method: scripted workloads on a simulated disk, cut at every operation, with unsynced data
// kept, lost or torn; each following opening is cut in the same way.
#include <belay/room/journal_rooms.hpp>
#include <belay/sim/crash_points.hpp>

#include <algorithm>
#include <map>
#include <memory>

#include "support/room/disk_rooms.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace belay_test;

namespace {

/// The required content of a room, regardless of which part of it is in a snapshot.
struct RoomContent {
    Id epoch{};
    std::vector<std::string> updates{};
    friend bool operator==(const RoomContent&, const RoomContent&) = default;
};
using RoomContents = std::map<std::string, RoomContent>;

constexpr int calls_of_rooms = 60;
constexpr const char* room_names[] = {"a", "b", "c", "a-room-with-a-longer-name"};

/// One run of JournalRooms, compared with a model: the state that is surely durable, and one state
/// for each later change. After a crash, one of these states must be on the disk.
class RoomsIncarnation {
public:
    RoomsIncarnation(sim::Disk& disk, std::uint64_t seed) : disk_{disk}, bits_{Seed{seed}} {
        states_.emplace_back();
    }

    /// Returns whether it could be opened. Returns false also if the power has failed.
    [[nodiscard]] bool open() {
        rooms_.reset();
        auto rooms = open_rooms(disk_, {.log_bytes_max = 1200}, ++openings_);
        error_ = rooms.error().message();
        if (!rooms) return false;
        rooms_.emplace(std::move(*rooms));
        return true;
    }
    void close() { rooms_.reset(); }
    /// Opens the rooms if they are not open, and checks that nothing is lost.
    [[nodiscard]] bool ensure_open() {
        if (rooms_ || (open() && is_whole())) return true;
        close();
        return false;
    }

    /// Opens the rooms, and makes all calls. Returns false if the power has failed.
    [[nodiscard]] bool run() {
        bool alive = open();
        for (int i = 0; i < calls_of_rooms && alive; ++i) alive = step();
        return alive;
    }
    /// Makes all calls, also after one has failed. Returns false if the process then sees something
    /// else than what has succeeded.
    [[nodiscard]] bool run_on() {
        for (int i = 0; i < calls_of_rooms; ++i) {
            if (!ensure_open()) continue;
            const bool works = step();
            if (!works && rooms_ && may_take_effect && !is_consistent()) return false;
        }
        return true;
    }
    /// Makes one call. Returns false if the power has failed.
    [[nodiscard]] bool step() {
        const std::string id = room_names[bits_() % 4];
        const std::uint64_t draw = bits_() % 100;
        if (draw < 50) return append(id, draw < 5 ? 700 : draw < 8 ? 0 : 1 + bits_() % 60);
        if (draw < 54) return reset(id);
        if (draw < 57) return erase(id);
        if (draw < 80) return flush();
        // Closing stores as much as it can. Changes that were not flushed may be lost.
        if (draw < 84) return close(), ensure_open();
        const auto oldest = rooms_->rooms_to_save();
        return save(oldest.empty() ? id : oldest.front());
    }
    [[nodiscard]] bool flush() {
        if (flushed(*rooms_)) return false;
        states_.erase(states_.begin(), states_.end() - 1);
        unknown_.clear();
        return true;
    }
    /// Whether no durable change is lost, and no room contains a change that was not made.
    [[nodiscard]] bool is_whole() {
        const auto found = load_all();
        if (!found) return false;
        for (const auto* const states : {&states_, &unknown_}) {
            if (std::find(states->begin(), states->end(), *found) == states->end()) continue;
            states_ = {*found};
            unknown_.clear();
            return true;
        }
        error_ = "it is none of " + std::to_string(states_.size()) + " states";
        return false;
    }
    /// Whether the process sees what succeeded, and no change of a call that failed. Changes that
    /// wait for a flush may be missing.
    [[nodiscard]] bool is_consistent() {
        const auto found = load_all();
        if (!found) return false;
        if (std::find(states_.begin(), states_.end(), *found) != states_.end()) return true;
        error_ = "the process sees another state";
        return false;
    }
    /// Whether each room can be begun, appended to, saved and found again.
    [[nodiscard]] bool goes_on() {
        for (const char* name : room_names) {
            if (!states_.back().contains(name) && !reset(name)) return false;
            if (!append(name, 20)) return false;
        }
        if (!flush() || !save(room_names[0]) || !save(room_names[3]) || !open() || !is_whole())
            return false;
        return append(room_names[0], 400) && flush() && is_whole();
    }
    [[nodiscard]] const std::string& message() const noexcept { return error_; }

    bool may_take_effect = false;

private:
    [[nodiscard]] std::optional<RoomContents> load_all() {
        RoomContents found;
        for (const char* name : room_names) {
            const auto room = loaded(*rooms_, name);
            if (!room) {
                error_ = room.error().message();
                return std::nullopt;
            }
            if (*room) found[name] = content_of(**room);
        }
        std::vector<std::string> ids;
        for (const auto& [id, content] : found) ids.push_back(id);
        if (*listed(*rooms_, "", 99) == ids) return found;
        error_ = "the list of rooms is wrong";
        return std::nullopt;
    }
    static RoomContent content_of(const StoredRoom& room) {
        RoomContent content{room.epoch, {}};
        for (const auto* list : {&room.snapshot, &room.updates}) {
            for (const Bytes& part : *list) content.updates.emplace_back(as_text(part));
        }
        return content;
    }
    /// Adds the state after a call. A call that failed may have taken effect on the disk if
    /// `may_take_effect`.
    bool pushed(bool done, RoomContents next) {
        if (done) states_.push_back(std::move(next));
        if (!done && may_take_effect) unknown_.push_back(std::move(next));
        return done;
    }

    [[nodiscard]] bool append(const std::string& id, std::size_t size) {
        const std::string update = std::to_string(++updates_) + std::string(size, 'x');
        const std::error_code error = rooms_->append(id, as_bytes(update));
        RoomContents next = states_.back();
        if (!next.contains(id)) return error == RoomErrc::unknown_room;
        next[id].updates.push_back(update);
        return pushed(!error, std::move(next));
    }
    [[nodiscard]] bool reset(const std::string& id) {
        const Id epoch = make_id(bits_);
        const bool done = !rooms_->reset(id, epoch);
        RoomContents next = states_.back();
        next[id] = RoomContent{epoch, {}};
        return pushed(done, std::move(next));
    }
    [[nodiscard]] bool erase(const std::string& id) {
        const bool done = !rooms_->erase(id);
        RoomContents next = states_.back();
        next.erase(id);
        return pushed(done, std::move(next));
    }
    [[nodiscard]] bool save(const std::string& id) {
        const auto room = loaded(*rooms_, id);
        if (!room) return false;
        if (!*room) return true;
        std::vector<Bytes> snapshot = (*room)->snapshot;
        snapshot.insert(snapshot.end(), (*room)->updates.begin(), (*room)->updates.end());
        const std::error_code error = saved(*rooms_, id, snapshot, (*room)->position);
        // A reset or an erasure waits for its flush.
        return !error || error == RoomErrc::stale_snapshot;
    }

    sim::Disk& disk_;
    Random bits_;
    std::uint64_t openings_ = 0;
    std::uint64_t updates_ = 0;
    std::vector<RoomContents> states_;
    std::vector<RoomContents> unknown_;  // after calls that failed
    std::optional<JournalRoomsOnDisk> rooms_;
    std::string error_;
};

/// The operation of the disk at which a run is cut. 0: none.
struct RoomsPlace {
    std::uint64_t seed;
    std::uint64_t operation;
};
struct RoomsCut {
    explicit RoomsCut(const RoomsPlace& place) : incarnation{disk, place.seed} {
        disk.halt_at(place.operation);
        alive = incarnation.run();
    }
    sim::Disk disk;
    RoomsIncarnation incarnation;
    bool alive = false;
};

void lose_power(sim::Disk& disk, std::uint64_t seed) {
    Random bits{Seed{seed}};
    disk.crash(bits);
}

/// The number of runs. It is smaller where tests must be short.
std::uint64_t share_of_lives(std::uint64_t most) {
    return std::max<std::uint64_t>(
        1, most * std::min<std::uint64_t>(from_environment("BELAY_SEEDS", 2000), 2000) / 2000);
}

template <class Try>
void cut_rooms_everywhere(std::uint64_t most, Try&& attempt) {
    for (std::uint64_t seed = 1; seed <= share_of_lives(most); ++seed) {
        RoomsCut whole{{seed, 0}};
        INFO("life " << seed << ": " << whole.incarnation.message());
        REQUIRE(whole.alive);
        REQUIRE((whole.incarnation.flush() && whole.incarnation.is_whole()));
        const std::uint64_t operations = whole.disk.operations();
        for (std::uint64_t halt = 1; halt <= operations; ++halt) attempt(RoomsPlace{seed, halt});
    }
}

}  // namespace

TEST_CASE("JournalRooms survives a loss of power at every operation of a workload",
          "[room][journal_rooms][fault]") {
    for (std::uint64_t seed = 1; seed <= share_of_lives(30); ++seed) {
        std::string message;
        const auto report = sim::crash_points(
            [&](sim::Disk& disk) {
                auto life = std::make_unique<RoomsIncarnation>(disk, seed);
                static_cast<void>(life->run());
                return life;
            },
            [&](sim::Disk&, const std::unique_ptr<RoomsIncarnation>& life) {
                const bool good = life->open() && life->is_whole() && life->goes_on();
                if (!good && message.empty()) message = life->message();
                return good;
            },
            {.drawn_max = 3, .enumerated_max = 2, .seed = Seed{seed * 1000}});
        INFO("life " << seed << ", " << report.failure << ": " << message);
        REQUIRE(report);
    }
}

TEST_CASE("JournalRooms survives the death of its process at every operation of a workload",
          "[room][journal_rooms][fault]") {
    cut_rooms_everywhere(30, [](const RoomsPlace& place) {
        const auto [seed, halt] = place;
        RoomsCut cut{place};
        cut.disk.kill();
        const bool good =
            cut.incarnation.open() && cut.incarnation.is_whole() && cut.incarnation.goes_on();
        INFO("life " << seed << ", operation " << halt << ": " << cut.incarnation.message());
        REQUIRE(good);
    });
}

TEST_CASE("JournalRooms survives a loss of power while it recovers from one",
          "[room][journal_rooms][fault]") {
    cut_rooms_everywhere(12, [](const RoomsPlace& place) {
        const auto [seed, halt] = place;
        if (halt % 7 != seed % 7) return;
        for (std::uint64_t again = 1;; ++again) {
            RoomsCut cut{place};
            lose_power(cut.disk, seed * 1000 + halt);
            cut.disk.halt_at(cut.disk.operations() + again);
            const bool opened =
                cut.incarnation.open() && cut.incarnation.is_whole() && cut.incarnation.flush();
            cut.incarnation.close();
            lose_power(cut.disk, again);
            const bool good =
                cut.incarnation.open() && cut.incarnation.is_whole() && cut.incarnation.goes_on();
            INFO("life " << seed << ", operation " << halt << ", then " << again << ": "
                         << cut.incarnation.message());
            REQUIRE(good);
            if (opened) break;
        }
    });
}

TEST_CASE("JournalRooms survives a failure of every single operation",
          "[room][journal_rooms][fault]") {
    cut_rooms_everywhere(30, [](const RoomsPlace& place) {
        const auto [seed, number] = place;
        sim::Disk disk;
        RoomsIncarnation incarnation{disk, seed};
        disk.fail_at(number, std::make_error_code(number % 2 == 0 ? std::errc::io_error
                                                                  : std::errc::no_space_on_device));
        static_cast<void>(incarnation.run());
        // After a restart all changes are there, although the power fails right after the failed
        // operation.
        incarnation.close();
        lose_power(disk, seed * 1000 + number);
        const bool good = incarnation.open() && incarnation.is_whole() && incarnation.goes_on();
        INFO("life " << seed << ", operation " << number << ": " << incarnation.message());
        REQUIRE(good);
    });
}

TEST_CASE("JournalRooms survives every single operation that takes effect and fails",
          "[room][journal_rooms][fault]") {
    cut_rooms_everywhere(30, [](const RoomsPlace& place) {
        const auto [seed, number] = place;
        for (const bool loses : {false, true}) {
            sim::Disk disk;
            RoomsIncarnation incarnation{disk, seed};
            disk.fail_after(number, std::make_error_code(std::errc::io_error));
            incarnation.may_take_effect = true;
            const bool is_consistent = incarnation.run_on();
            INFO("life " << seed << ", operation " << number << (loses ? ", then the power" : ""));
            INFO(incarnation.message());
            REQUIRE(is_consistent);
            incarnation.may_take_effect = false;
            incarnation.close();
            CHECK(disk.open_files() == 0);
            disk.mend();
            if (loses) lose_power(disk, seed * 1000 + number);
            const bool good = incarnation.open() && incarnation.is_whole() && incarnation.goes_on();
            INFO(incarnation.message());
            REQUIRE(good);
        }
    });
}

TEST_CASE("JournalRooms survives a lack of descriptors at every single open",
          "[room][journal_rooms][fault]") {
    for (std::uint64_t seed = 1; seed <= share_of_lives(30); ++seed) {
        RoomsCut whole{{seed, 0}};
        REQUIRE(whole.alive);
        for (std::uint64_t number = 1; number <= whole.disk.opens(); ++number) {
            sim::Disk disk;
            RoomsIncarnation incarnation{disk, seed};
            disk.fail_open_at(number, std::make_error_code(std::errc::too_many_files_open));
            static_cast<void>(incarnation.run_on());
            INFO("life " << seed << ", open " << number << ": " << incarnation.message());
            // With descriptors again, it continues without a restart.
            REQUIRE(incarnation.ensure_open());
            REQUIRE((incarnation.flush() && incarnation.is_consistent()));
            incarnation.close();
            CHECK(disk.open_files() == 0);
            lose_power(disk, seed * 1000 + number);
            const bool good = incarnation.open() && incarnation.is_whole() && incarnation.goes_on();
            INFO(incarnation.message());
            REQUIRE(good);
        }
    }
}

TEST_CASE("JournalRooms survives a failure of every single read", "[room][journal_rooms][fault]") {
    for (std::uint64_t seed = 1; seed <= share_of_lives(30); ++seed) {
        RoomsCut whole{{seed, 0}};
        REQUIRE(whole.alive);
        const std::uint64_t reads = whole.disk.reads();
        for (std::uint64_t number = 1; number <= reads; ++number) {
            sim::Disk disk;
            RoomsIncarnation incarnation{disk, seed};
            disk.fail_read_at(number, std::make_error_code(std::errc::io_error));
            static_cast<void>(incarnation.run_on());
            incarnation.close();
            lose_power(disk, seed * 1000 + number);
            const bool good = incarnation.open() && incarnation.is_whole() && incarnation.goes_on();
            INFO("life " << seed << ", read " << number << ": " << incarnation.message());
            REQUIRE(good);
        }
    }
}
