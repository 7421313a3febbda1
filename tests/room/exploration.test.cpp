// SPDX-License-Identifier: MIT
// Goal: rooms, clients and connections keep their contracts after every sequence of
// events, and reach the states that they must reach. Method: sim::exhaust over the cores, with an
// owner that does what they return; all times are whole seconds, so that there are few states.
#include <belay/core/instant.hpp>

#include <belay/room/detail/client_core.hpp>
#include <belay/room/detail/connection_core.hpp>
#include <belay/room/room_core.hpp>
#include <belay/sim/exhaust.hpp>

#include "support/catch.hpp"
#include "support/sim/left_out.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace room_exploration {

const RoomOptions options = [] {
    RoomOptions o;
    o.save_after = 1s;
    o.unload_after = 12s;
    o.check_within = 2s;
    return o;
}();

/// The next whole second at which the deadline has passed; drivers may be late.
Instant at_deadline(Instant now, Instant deadline) {
    const Duration left = part::time_left(now, deadline);
    return after(now, (left + 1s - 1ns) / 1s * 1s);
}

// ---- a room ------------------------------------------------------------------------------

struct RoomModel {
    using Event = timeline::RoomCore::Event;
    using Evictable = timeline::RoomCore::Evictable;

    timeline::RoomCore core{Instant{}, options, Instant{}};
    Instant now{};
    LeftOut left_out{};
    int clients = 0;
    int waiting = 0;    // changes that are not durable
    int uncovered = 0;  // durable changes that no save covers; 2 stands for more
    int covering = 0;   // those that the save under way covers
    bool loading = true;
    bool saving = false;
    bool stopping = false;
    bool gave_up = false;  // a save was rejected while the room was being stopped
    bool held = false;     // the storage lacks changes that only this room has
    bool over = false;

    void step(sim::Choice& c) {
        if (over) return c.impossible();
        const std::size_t chosen = c.choose(
            {"loaded",       "saved",       "applied",        "deadline", "restored", "a second",
             "load failed",  "save failed", "joined",         "left",     "used",     "appended",
             "lost",         "dropped",     "save requested", "stop",     "held",     "uncovered",
             "save refused", "long log",    "saved elsewhere"});
        switch (chosen) {
            case 0:
                return act(c, Event::loaded, loading);
            case 1:
                return act(c, Event::saved, saving);
            case 2:
                return act(c, Event::applied, waiting != 0 && !loading);
            case 3:
                if (core.deadline() == never) return c.impossible();
                now = at_deadline(now, core.deadline());
                return act(c, Event::tick, true);
            case 4:
                return hold(c, false);
            default:
                break;
        }
        c.unfair();
        step_unfair(c, chosen);
    }
    void step_unfair(sim::Choice& c, std::size_t chosen) {
        switch (chosen) {
            case 5:
                now += 1s;
                return act(c, Event::tick, true);
            case 6:
                return act(c, Event::load_failed, loading);
            case 7:
                return act(c, Event::save_failed, saving);
            case 8:
                return act(c, Event::joined, clients < 2 && !loading);
            case 9:
                return act(c, Event::left, clients != 0);
            case 10:
                return act(c, Event::used, true);
            case 11:
                return act(c, Event::appended, waiting < 2 && !loading && !stopping);
            case 12:
                return act(c, Event::lost, waiting != 0);
            case 13:
                return act(c, Event::dropped, waiting != 0);
            case 14:
                return act(c, Event::save_requested, true);
            case 15:
                return act(c, Event::stop, !stopping);
            case 16:
                return hold(c, true);
            case 17:
                return act(c, Event::uncovered, true);
            case 18:
                return act(c, Event::save_rejected, saving);
            case 19:
                return act(c, Event::loaded_uncovered, true);
            default:
                return act(c, Event::saved_elsewhere, true);
        }
    }
    /// The storage has lost changes of the room, or has them again.
    void hold(sim::Choice& c, bool lost) {
        if (held == lost) return c.impossible();
        core.hold(held = lost);
        act(c, Event::tick, true);
    }
    void act(sim::Choice& c, Event event, bool possible) {
        if (!possible) return c.impossible();
        note(event);
        Random bits{Seed{1}};
        Turn turn{now, bits};
        const timeline::RoomCore::Actions a = core.step(event, turn);
        c.result(a.load + 2 * a.save + 4 * a.close_clients + 8 * a.evict);
        c.result(part::time_left(now, core.deadline()));
        const bool failed = event == Event::load_failed;
        if (a.load) {
            c.require(!loading, "one load at a time");
            loading = true;
        }
        if (a.save) {
            c.require(!saving, "one save at a time");
            c.require(!loading, "no save without a document");
            saving = true;
            covering = uncovered;
            uncovered = 0;
        }
        if (a.evict) {
            c.require(!saving || failed || (stopping && covering == 0),
                      "a room is not evicted during a save of its changes");
            c.require(waiting == 0 || failed, "nor while a change is not durable");
            c.require(clients == 0 || stopping || failed, "nor while it has clients");
            c.require(uncovered == 0 || gave_up || failed || loading, "nor without a save");
            c.require(!held || failed || loading, "nor while the storage lacks changes");
            over = true;
        }
        check_evictable(c, over ? Evictable::no : core.evictable());
        c.require(over || core.clients() == static_cast<std::size_t>(clients), "clients count");
        c.require(over || core.unflushed() == static_cast<std::size_t>(waiting), "changes count");
        c.require(over || core.loading() == loading, "it loads when it must");
        c.require(over || loading || core.dirty() || uncovered == 0, "what is not saved is dirty");
    }
    void check_evictable(sim::Choice& c, Evictable e) const {
        if (e == Evictable::no) return;
        c.require(clients == 0 && waiting == 0 && !loading && !held,
                  "a room is evicted for another one only if the storage has all of it");
        c.require(e != Evictable::saved || uncovered + covering == 0, "it is saved");
        constexpr std::string_view reached[] = {"saved", "saves fail", "not saved yet"};
        c.reach(std::string{reached[static_cast<std::size_t>(e)]});
    }
    void note(Event event) {
        if (event == Event::loaded) loading = false;
        if (event == Event::joined) ++clients;
        if (event == Event::left) --clients;
        if (event == Event::appended) ++waiting;
        if (event == Event::applied) --waiting, uncovered = 1;
        if (event == Event::lost || event == Event::dropped) waiting = 0;
        if (event == Event::stop) stopping = true;
        const bool refused = event == Event::save_rejected;
        if (event == Event::saved || event == Event::save_failed || refused) saving = false;
        if (event == Event::save_failed || refused) uncovered += uncovered == 0 ? covering : 0;
        if (refused && stopping) gave_up = true;
        if (!saving) covering = 0;
    }
    void digest(sim::Digest& d) const {
        left_out.digest(core, now, d);
        // The core has the other members. If one of them differs from the core, a step reports it.
        d(uncovered + 4 * covering);
    }
    /// Either all is saved and the room has a client, or the room is evicted.
    bool settled() const { return over || (core.live() && clients != 0 && !core.dirty()); }
};

// ---- a client ----------------------------------------------------------------------------

struct ClientModel {
    using Core = belay::detail::ClientCore;
    using Event = Core::Event;

    Core core;
    Instant now{};
    LeftOut left_out{};
    int held = 0;
    bool asked = false;    // the authorizer has not answered a check
    bool again = false;    // a check was requested since it was asked
    bool finds = false;    // the owner has not found its room yet
    bool opening = false;  // its connection is being opened
    bool open = false;     // it is open
    bool in_room = false;
    bool answered = false;  // a check was granted once
    bool ended = false;     // the client has left for good

    explicit ClientModel(bool renews) : core{options, renews} {
        sim::Choice first;
        act(first, Event::check_requested, true);
    }
    void step(sim::Choice& c) {
        const std::size_t chosen =
            c.choose({"granted", "denied", "room live", "opened", "deadline", "unanswered",
                      "room loading", "check requested", "token", "withdraw", "ended", "a second",
                      "hold a token", "release a token", "drain", "refuse a change"});
        constexpr Event events[] = {
            Event::granted, Event::denied,     Event::room_live,    Event::opened,
            Event::tick,    Event::unanswered, Event::room_loading, Event::check_requested,
            Event::token,   Event::withdraw,   Event::ended,        Event::tick};
        if (chosen > 4) c.unfair();
        if (chosen > 11) return use(c, chosen);
        const Event event = events[chosen];
        switch (event) {
            case Event::granted:
            case Event::denied:
            case Event::unanswered:
                return act(c, event, std::exchange(asked, false));
            case Event::room_loading:
                return act(c, event, finds && core.state() == Core::State::checking);
            case Event::room_live:
                return act(c, event, std::exchange(finds, false));
            case Event::opened:
                return act(c, event, std::exchange(opening, false));
            case Event::tick:
                if (chosen == 4 && core.deadline() == never) return c.impossible();
                now = chosen == 4 ? at_deadline(now, core.deadline()) : after(now, 1s);
                return act(c, event, true);
            default:
                return act(c, event, !ended);
        }
    }
    void use(sim::Choice& c, std::size_t chosen) {
        if (chosen == 12 && held < 2) {
            ++held;
            return core.hold_token();
        }
        if (chosen == 13 && held != 0) {
            --held;
            return core.release_token();
        }
        if (chosen == 14 && !core.draining()) return core.drain();
        if (chosen == 15 && core.joined()) return c.result(core.take_denial());
        c.impossible();
    }
    void act(sim::Choice& c, Event event, bool possible) {
        if (!possible) return c.impossible();
        const bool was_closed = core.state() == Core::State::closed;
        if (event == Event::granted) answered = true;
        if (event == Event::opened) open = true;
        if (event == Event::check_requested && !core.ending()) again = asked;
        const bool is_long = event == Event::granted && c.choose({"for 3 s", "for 5 s"}) == 1;
        const Core::Actions a = core.step(event, now, is_long ? 5s : 3s);
        c.result(static_cast<int>(a.leave) + 4 * a.drop_check + 8 * a.find_room + 16 * a.join +
                 32 * a.refresh + 64 * a.open + 128 * a.deny + 256 * a.request_token +
                 512 * a.check + 1024 * a.fail.has_value() + 2048 * a.recheck);
        c.result(core.takes_check() + 2 * core.checks() + 4 * core.draining());
        if (was_closed) {
            c.require(a == Core::Actions{.drop_check = a.drop_check}, "nothing follows the end");
        }
        if (a.leave == Core::Leave::joined) c.require(in_room, "it leaves what it joined");
        if (a.leave != Core::Leave::no) in_room = finds = false;
        if (a.drop_check) asked = false;
        if (a.find_room) {
            c.require(answered, "no room without a grant");
            finds = true;
        }
        if (a.join) {
            c.require(answered && open && !in_room, "it joins once, open, with a grant");
            in_room = true;
        }
        if (a.open) {
            c.require(!open && !opening, "it waits for its connection once");
            opening = true;
        }
        if (event == Event::granted && again && !core.ending())
            c.require(a.check || a.recheck, "a request during a check leads to another one");
        if (event == Event::granted || a.check) again = false;
        if (a.check) {
            c.require(!asked, "one question at a time");
            asked = true;
        }
        ended = ended || core.state() == Core::State::closed;
        c.require(in_room == core.joined(), "it is in its room while it is joined");
        if (a.deny || a.fail) act(c, Event::ended, true);
        c.require(core.deadline() > now || event != Event::tick || a.request_token || was_closed ||
                      core.ending(),
                  "a tick does what is due");
    }
    void digest(sim::Digest& d) const {
        left_out.digest(core, now, d);
        d(finds + 4 * opening + 8 * open + 16 * answered + 32 * ended);
    }
    bool settled() const { return core.joined() || core.state() == Core::State::closed; }
};

// ---- a connection ------------------------------------------------------------------------

struct ConnectionModel {
    using Core = belay::detail::ConnectionCore;
    using Event = Core::Event;

    Core core{options};
    Instant now{};
    LeftOut left_out{};
    int joined = 0;
    bool requested = false;  // a document, whose client has not joined
    bool opening = false;
    bool opened = false;
    bool released = false;
    bool ended = false;

    [[nodiscard]] bool has_clients() const { return requested || joined != 0; }
    void step(sim::Choice& c) {
        const std::size_t chosen =
            c.choose({"opened", "deadline", "open", "requested", "joined", "left", "close", "ended",
                      "bytes", "token", "a second"});
        if (chosen > 2) c.unfair();
        const Instant deadline = core.deadline(has_clients());
        const bool open = core.state() == Core::State::open;
        switch (chosen) {
            case 0:
                opened = opened || opening;
                return act(c, Event::opened, std::exchange(opening, false));
            case 1:
                if (deadline == never) return c.impossible();
                now = at_deadline(now, deadline);
                return check(c, core.tick(now, has_clients()));
            case 2:
                return act(c, Event::open, !ended);
            case 3:
                if (!open || requested || joined == 2) return c.impossible();
                requested = true;
                return;
            case 4:
                joined += requested ? 1 : 0;
                return act(c, Event::joined, std::exchange(requested, false));
            case 5:
                if (joined == 0) return c.impossible();
                --joined;
                return act(c, Event::left, true);
            case 6:
                return act(c, Event::close, !ended);
            case 7:
                return act(c, Event::ended, !std::exchange(ended, true));
            case 8:
                if (!open) return c.impossible();
                if (!core.count_until_token(Core::token_bytes_max / 2)) act(c, Event::close, true);
                return;
            case 9:
                if (!open) return c.impossible();
                return core.note_token();
            default:
                now += 1s;
                return check(c, core.tick(now, has_clients()));
        }
    }
    void act(sim::Choice& c, Event event, bool possible) {
        if (!possible) return c.impossible();
        check(c, core.step(event, now));
    }
    void check(sim::Choice& c, const Core::Actions& a) {
        c.result(a.listen + 2 * a.raise_limit + 4 * a.release + 8 * a.open + 16 * a.close +
                 32 * a.abort + 64 * a.fail.has_value());
        if (a.release) {
            c.require(!released, "the clients leave once");
            released = true;
            requested = false;
            // The owner removes the clients from their rooms.
            while (joined != 0) {
                --joined;
                check(c, core.step(Event::left, now));
            }
        }
        if (a.open) {
            c.require(!opening && !opened, "the transport opens once");
            opening = true;
        }
        if (a.close || a.abort) {
            c.require(released, "the clients leave first");
            c.require(opened || a.abort, "a close code needs an open transport");
            ended = true;
        }
        ended = ended || core.state() == Core::State::closed;
        c.require(released == core.ending(), "what closes has no clients");
        if (a.fail) act(c, Event::close, true);
    }
    void digest(sim::Digest& d) const {
        left_out.digest(core, now, d);
        d(requested + 2 * opening + 4 * ended + 8 * opened);
    }
    bool settled() const {
        return core.state() == Core::State::closed ||
               (core.state() == Core::State::open && has_clients());
    }
};

}  // namespace room_exploration

TEST_CASE("RoomCore keeps its contract after every sequence of events",
          "[room][exploration][property]") {
    using namespace room_exploration;
    const sim::ExhaustReport report =
        sim::exhaust({.depth = 9, .recheck_percent = 100}, RoomModel{});
    CHECK(report);
    for (const char* evictable : {"saved", "saves fail", "not saved yet"})
        CHECK(report.marks.contains(evictable));
    CHECK(undetected(RoomModel{}, 6, 60) == "");
}

TEST_CASE("ClientCore keeps its contract after every sequence of events",
          "[room][exploration][property]") {
    using namespace room_exploration;
    CHECK(sim::exhaust({.depth = 30, .recheck_percent = 100}, ClientModel{false}));
    CHECK(sim::exhaust({.depth = 30, .recheck_percent = 100}, ClientModel{true}));
    CHECK(undetected(ClientModel{true}, 9) == "");
}

TEST_CASE("ConnectionCore keeps its contract after every sequence of events",
          "[room][exploration][property]") {
    using namespace room_exploration;
    CHECK(sim::exhaust({.depth = 30, .recheck_percent = 100}, ConnectionModel{}));
    CHECK(undetected(ConnectionModel{}, 9) == "");
}
