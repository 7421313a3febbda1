// SPDX-License-Identifier: MIT
// Goal: hostile clients close no honest one, and delay its joins and edits by a bounded factor.
// Method: the same world with and without hostile clients, for many seeds. BELAY_HOSTILE is the
// number of hostile clients, and BELAY_SEEDS that of the seeds. Without BELAY_HOSTILE, a second
// test draws the number and the kinds of the hostile clients, and the server's limits, from the
// seed.
#include <belay/core/random.hpp>
#include <belay/room/room_manager.hpp>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/room/room_world.hpp"
#include "support/seeds.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

/// The number of hostile clients, if the environment states it. Then all seeds run.
[[nodiscard]] std::uint64_t stated_hostile() { return from_environment("BELAY_HOSTILE", 0); }

/// The limits of the server, which hostile clients exceed.
struct ServerLimits {
    std::size_t frame_bytes = std::size_t{256} << 10;
    std::size_t document_bytes = std::size_t{512} << 10;
    bool closes_soon = false;  ///< whether clients that are silent are closed during the test
};

/// A client that misuses the service.
class Hostile {
public:
    enum class Kind : std::uint8_t {
        reads_nothing,
        reads_little,
        asks,
        types,
        sends_garbage,
        crowds,           ///< one user with many clients in the honest room
        opens_rooms,      ///< one user that opens a room with each dial
        fills,            ///< fills a room, and then inserts and deletes
        sends_unknown,    ///< messages of a kind that the server does not know
        sends_too_large,  ///< a message above the limit with each dial
        is_silent,
        loses_rights,  ///< has other rights with each dial, and not for long
        grows,         ///< dials again at once, with a state above the limit of messages
        floods,        ///< stateless messages
        has_no_token,  ///< on a connection of several documents
        flips          ///< has other rights, and another user, with each frame
    };
    static constexpr std::size_t kinds = 16;
    /// The token of the clients that flip.
    static constexpr const char* flipping = "flipping";

    Hostile(RoomWorld& w, std::size_t i, Kind kind, std::size_t text_bytes,
            const ServerLimits& limits)
        : w_{w},
          kind_{kind},
          text_bytes_{text_bytes},
          limits_{limits},
          name_{"hostile" + std::to_string(i)},
          editor_{is_addressed() ? RoomEditor::addressed(w, name_, 1000 + i)
                                 : RoomEditor{w, name_, 1000 + i}} {
        // Clients that type have their own rooms, because a user who may edit a room may also fill
        // it.
        if (kind_ == Kind::types) request() = {.room_id = "own" + name_, .token = "hostile"};
        if (kind_ == Kind::fills) request() = {.room_id = "full" + name_, .token = name_};
        if (kind_ == Kind::crowds) request() = {.room_id = "board", .token = "mob"};
        if (kind_ == Kind::grows) editor_.type(std::string(limits_.frame_bytes, 'h'));
        if (kind_ == Kind::flips) editor_.token = flipping;
        editor_.answers_queries = editor_.looks_around = editor_.keeps_changes = false;
    }
    /// 10 times a second.
    void act(int step) {
        if (kind_ == Kind::is_silent || kind_ == Kind::has_no_token) editor_.stall(true);
        if (kind_ == Kind::loses_rights) {
            constexpr Access rights[]{Access::edit, Access::view, Access::none};
            w_.rights.grants[name_] = {name_, rights[step % 3], 150ms};
        }
        // The server remembers a user that it has closed, so that the user changes sometimes.
        if (kind_ == Kind::grows)
            request() = {.room_id = "board", .token = name_ + " " + std::to_string(step / 2)};
        const bool at_once = kind_ == Kind::grows || kind_ == Kind::flips;
        if (!editor_.online() && (at_once || step % 5 == 0)) editor_.dial();
        switch (kind_) {
            case Kind::reads_nothing:
                editor_.stall(step > 5);
                return;
            case Kind::reads_little:
                editor_.stall(step % 50 != 0);
                return editor_.show("{}");
            case Kind::asks:
                for (int i = 0; i < 20; ++i)
                    editor_.say({part::RoomMessage::Kind::state_vector, Bytes{std::byte{0}}});
                return;
            case Kind::types:
                if (step % 10 == 0) editor_.type(std::string(text_bytes_, 'h'));
                for (int i = 0; i < 10; ++i) editor_.type("h");
                return;
            case Kind::crowds:
                return editor_.show("{}");
            case Kind::opens_rooms:
                request() = {.room_id = name_ + " " + std::to_string(step), .token = "opener"};
                return editor_.dial();
            case Kind::fills:
                return fill();
            case Kind::sends_unknown:
                for (int i = 0; i < 20; ++i) editor_.raw(Bytes{std::byte{77}, std::byte{1}});
                return;
            case Kind::sends_too_large:
                if (step % 5 == 0) editor_.raw(Bytes(limits_.frame_bytes + 1));
                return;
            case Kind::is_silent:
            case Kind::has_no_token:
            case Kind::grows:
                return;
            case Kind::floods:
                return flood();
            case Kind::flips:
                return flip(step);
            case Kind::loses_rights:
                return editor_.show("{}");
            case Kind::sends_garbage:
                return editor_.raw(Bytes{std::byte{0}, std::byte{77}});
        }
    }

private:
    [[nodiscard]] RoomRequest& request() { return w_.requests[name_]; }
    /// Whether it speaks hocuspocus.
    [[nodiscard]] bool is_addressed() const {
        return kind_ == Kind::floods || kind_ == Kind::has_no_token || kind_ == Kind::flips;
    }
    /// Fills the document at once, and then goes on to overwrite one of its values.
    void fill() {
        if (!editor_.synced) return;
        const std::size_t piece = std::min(limits_.document_bytes / 16, limits_.frame_bytes / 2);
        const std::string value(std::min(text_bytes_, piece / 2), 'h');
        editor_.say({part::RoomMessage::Kind::update, overwrite(overwritten_++, value)});
        // A document accepts a 64th more while deletions may give space.
        const std::size_t most = limits_.document_bytes + limits_.document_bytes / 32;
        for (; filled_ <= most; filled_ += piece) editor_.type(std::string(piece, 'h'));
        editor_.type("h");
    }
    void flood() {
        Bytes frame;
        yjs::append_varbytes(frame, as_bytes("board"));
        frame.push_back(std::byte{5});
        yjs::append_varbytes(frame, Bytes(std::min(text_bytes_, std::size_t{1000}), std::byte{65}));
        for (int i = 0; i < 20; ++i) editor_.raw(frame);
    }
    /// The authorizer answers each token differently.
    void flip(int step) {
        editor_.send_token();
        if (step % 5 == 0) editor_.show("{}");
        editor_.send_token();
        if (step % 20 == 0) editor_.type("h");
        editor_.send_token();
    }

    RoomWorld& w_;
    Kind kind_;
    std::size_t text_bytes_;  ///< of a long text, which is sent once per second
    ServerLimits limits_;
    std::string name_;
    RoomEditor editor_;
    std::size_t filled_ = 0;
    std::uint64_t overwritten_ = 0;
};

/// The hostile clients of a world.
struct Crowd {
    std::vector<Hostile::Kind> kinds{};
    std::size_t text_bytes = 100'000;
    ServerLimits limits{};
};

/// As many of each kind.
Crowd all_kinds(std::size_t count) {
    Crowd crowd;
    for (std::size_t i = 0; i < count; ++i)
        crowd.kinds.push_back(static_cast<Hostile::Kind>(i % Hostile::kinds));
    return crowd;
}

/// Draws 10 to 1,000 hostile clients of some of the kinds, with texts of 1 to 100,000 bytes, and
/// the limits of the server. Each order of magnitude is as frequent as the others.
Crowd drawn_crowd(Seed seed) {
    Random random{seed};
    const auto magnitude = [&](double from, double to) {
        const double share = static_cast<double>(uniform_upto(random, 1'000'000)) / 1e6;
        return static_cast<std::size_t>(std::pow(10.0, from + (to - from) * share));
    };
    Crowd crowd;
    const std::size_t count = magnitude(1, 3);
    crowd.text_bytes = magnitude(0, 5);
    const std::uint64_t chosen = 1 + uniform_upto(random, (1U << Hostile::kinds) - 2);
    for (std::size_t i = 0; crowd.kinds.size() < count; ++i)
        if ((chosen >> i % Hostile::kinds & 1U) != 0)
            crowd.kinds.push_back(static_cast<Hostile::Kind>(i % Hostile::kinds));
    crowd.limits = {.frame_bytes = magnitude(4.2, 5.4),
                    .document_bytes = magnitude(4.2, 5.7),
                    .closes_soon = uniform_upto(random, 1) == 0};
    return crowd;
}

/// The results of 10 honest clients.
struct Times {
    /// The 99th percentile. For the 30 edits of one seed, it is the longest of them.
    [[nodiscard]] Duration edit_p99() const {
        std::vector<Duration> sorted = edits;
        std::sort(sorted.begin(), sorted.end());
        return sorted[(sorted.size() * 99 + 99) / 100 - 1];
    }

    Duration join{};                ///< the longest
    std::vector<Duration> edits{};  ///< each to the last honest client
    std::size_t closed = 0;
    std::size_t mob = 0;     ///< clients of the user that crowds the honest room
    std::size_t opened = 0;  ///< rooms of the user that opens many
    RoomCounters counters{};
};

constexpr RoomOptions options_of(const ServerLimits& limits) {
    RoomOptions options;
    options.clients_per_user_max = 80;  // 16 in a room, and 40 rooms
    options.frame_bytes_max = limits.frame_bytes;
    if (limits.closes_soon) {
        options.check_within = 300ms;
        options.heartbeat = {100ms, 300ms};
    }
    // The storage saves and loads during all of the test.
    options.save_after = 200ms;
    return options;
}

/// With each check, the clients that flip have other rights, and another user.
void flip_rights(RoomRights& rights) {
    constexpr Access levels[]{Access::edit, Access::view, Access::comment, Access::none};
    const int n = rights.checks;
    rights.grants[Hostile::flipping] = {"flipping" + std::to_string(n % 50), levels[n / 3 % 4],
                                        100ms};
}

/// 10 honest clients of one room, which join one after another and type in turn.
Times times_with(const Crowd& hostile, Seed seed) {
    RoomWorld w{seed, options_of(hostile.limits), {.bytes_max = hostile.limits.document_bytes}};
    w.disk.flush_takes = 2ms;
    w.disk.load_takes = 5ms;
    w.disk.save_takes = 30ms;
    w.world.network().window_bytes(64'000);
    std::vector<std::unique_ptr<Hostile>> others;
    for (const Hostile::Kind kind : hostile.kinds)
        others.push_back(
            std::make_unique<Hostile>(w, others.size(), kind, hostile.text_bytes, hostile.limits));
    w.rights.before = [&](std::string_view) { flip_rights(w.rights); };
    int step = 0;
    const auto act = [&] {
        for (const auto& one : others) one->act(step);
        // The application passes on one of the stateless messages.
        if (!others.empty()) w.rooms().broadcast_stateless("board", "hello");
        ++step;
    };
    const auto wait = [&](auto done) {
        const Instant begin = w.world.now();
        for (int ms = 0; ms < 300 && !done(); ++ms) {
            if (ms % 100 == 0) act();
            w.run(1ms);
        }
        return elapsed(begin, w.world.now());
    };
    for (int i = 0; i < 20; ++i) wait([n = 0]() mutable { return ++n > 100; });
    Times times;
    std::vector<std::unique_ptr<RoomEditor>> honest;
    for (std::size_t i = 0; i < 10; ++i) {
        honest.push_back(std::make_unique<RoomEditor>(w, "honest" + std::to_string(i), 1 + i));
        honest.back()->dial();
        times.join = std::max(times.join, wait([&] { return honest.back()->synced; }));
    }
    for (std::size_t i = 0; i < 30; ++i) {
        const Bytes update = honest[i % 10]->type("edit " + std::to_string(i));
        times.edits.push_back(wait([&] {
            return std::all_of(honest.begin(), honest.end(),
                               [&](auto& one) { return one->has(update); });
        }));
    }
    times.closed = static_cast<std::size_t>(std::count_if(
        honest.begin(), honest.end(), [](const auto& one) { return !one->online(); }));
    for (const std::string& event : w.events) {
        if (event.starts_with("joined board mob ")) ++times.mob;
        if (event.starts_with("left board mob ")) --times.mob;
        if (event.starts_with("loaded hostile")) ++times.opened;
        if (event.starts_with("unloaded hostile")) --times.opened;
    }
    times.counters = w.rooms().counters();
    return times;
}

/// The results of all seeds together.
struct TimesOfAll {
    void add(const Times& alone_of_seed, const Times& among_of_seed) {
        for (const auto& [from, to] :
             {std::pair{&alone_of_seed, &alone}, {&among_of_seed, &among}}) {
            to->join = std::max(to->join, from->join);
            to->edits.insert(to->edits.end(), from->edits.begin(), from->edits.end());
        }
        join_factor = std::max(join_factor, factor(alone_of_seed.join, among_of_seed.join));
        edit_factor =
            std::max(edit_factor, factor(alone_of_seed.edit_p99(), among_of_seed.edit_p99()));
    }
    void report() const {
        WARN("joins: " << alone.join / 1us << " us alone, " << among.join / 1us
                       << " us among, at most " << join_factor << " times as long; p99 of "
                       << among.edits.size() << " edits: " << alone.edit_p99() / 1us
                       << " us alone, " << among.edit_p99() / 1us
                       << " us among; the longest edit of a seed at most " << edit_factor
                       << " times as long");
    }
    static double factor(Duration without, Duration with) {
        return static_cast<double>(with.count()) / static_cast<double>(without.count());
    }

    Times alone{};
    Times among{};
    double join_factor = 0;
    double edit_factor = 0;
};

/// Compares the world of a seed with these hostile clients and without them.
void compare(const Crowd& hostile, Seed seed, TimesOfAll& all) {
    const Times alone = times_with({.limits = hostile.limits}, seed);
    const Times among = times_with(hostile, seed);
    INFO(hostile.kinds.size() << " hostile clients");
    INFO("joins: " << alone.join / 1us << " us alone, " << among.join / 1us << " us among");
    INFO("edits: " << alone.edit_p99() / 1us << " us alone, " << among.edit_p99() / 1us
                   << " us among");
    CHECK(alone.closed == 0);
    CHECK(among.closed == 0);
    CHECK(among.join <= 2 * alone.join);
    // One more turn, in which a flush of 2 ms was running.
    CHECK(among.edit_p99() <= 3 * alone.edit_p99() + 2ms);
    CHECK(among.mob <= 16);
    CHECK(among.opened <= 40);
    const auto number_of = [&](Hostile::Kind kind) {
        return std::count(hostile.kinds.begin(), hostile.kinds.end(), kind);
    };
    const RoomCounters& counters = among.counters;
    const auto expect = [&](Hostile::Kind kind, long from, RoomErrc reason) {
        CHECK((number_of(kind) < from || counters.reasons.of(reason) > 0));
    };
    expect(Hostile::Kind::crowds, 17, RoomErrc::too_many_of_user);
    expect(Hostile::Kind::sends_too_large, 1, RoomErrc::frame_too_large);
    expect(Hostile::Kind::loses_rights, 1, RoomErrc::unauthorized);
    expect(Hostile::Kind::loses_rights, 1, RoomErrc::forbidden);
    expect(Hostile::Kind::grows, 1, RoomErrc::frame_too_large);
    expect(Hostile::Kind::flips, 1, RoomErrc::forbidden);
    if (hostile.limits.closes_soon) {
        expect(Hostile::Kind::is_silent, 1, RoomErrc::client_silent);
        expect(Hostile::Kind::has_no_token, 1, RoomErrc::unauthorized);
    }
    CHECK(
        (number_of(Hostile::Kind::fills) == 0 || counters.denials.of(YjsErrc::document_full) > 0));
    CHECK((number_of(Hostile::Kind::floods) == 0 || counters.stateless > 0));
    all.add(alone, among);
}

}  // namespace

TEST_CASE("RoomManager: hostile clients close no honest one, and delay it by a bounded factor",
          "[room][room_adversary][sim]") {
    Crowd hostile = all_kinds(stated_hostile() != 0 ? stated_hostile() : 200);
    // One user has more clients than it may have in a room.
    hostile.kinds.insert(hostile.kinds.end(), 8, Hostile::Kind::crowds);
    TimesOfAll all;
    for_each_seed([&](Seed seed) { compare(hostile, seed, all); },
                  stated_hostile() != 0 ? no_limit : 2);
    // Over all seeds.
    CHECK(all.among.edit_p99() <= 3 * all.alone.edit_p99() + 2ms);
    if (stated_hostile() != 0) all.report();
}

TEST_CASE("RoomManager: any number of hostile clients of any kinds close no honest one",
          "[room][room_adversary][sim]") {
    TimesOfAll all;
    const std::uint64_t seeds = histories(2);
    for_each_seed([&](Seed seed) { compare(drawn_crowd(seed), seed, all); }, seeds);
    if (seeds >= 100) all.report();
}
