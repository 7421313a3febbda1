// SPDX-License-Identifier: MIT
// Goal: the bounds hold when services are added, removed, failed, gated or destroyed in any place.
// Method: random scripts, in hooks and outside of them, compared with counters of the connections;
// BELAY_SEEDS is the number of scripts.
#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>

#include <belay/fleet/fleet.hpp>

#include "support/catch.hpp"
#include "support/seeds.hpp"
#include "support/shorthand.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

struct FleetModel;

/// A connection that counts its objects.
struct CountedTransport {
    using message_type = int;
    struct Connection {
        Connection(CountedTransport& transport, const Link<int>& link);
        Connection(const Connection&) = delete;
        Connection& operator=(const Connection&) = delete;
        ~Connection();
        SendResult send(int) noexcept { return SendResult::sent; }
        void close(const Failure&) noexcept { link.closed(); }
        FleetModel& model;
        std::uint32_t id;
        Link<int> link;
    };
    Connection open(const Link<int>& link) { return {*this, link}; }
    FleetModel* model;
    std::uint32_t id;
};

/// Every begin has one end.
struct Ledger {
    FleetModel* model;
    std::uint32_t id;
    bool begun = false;
    void begin(Turn&) noexcept;
    Advice failed(const Failure&, Turn& turn) noexcept;
    Advice lost(const Failure&, Turn& turn) noexcept;
    void succeeded(Turn&) noexcept;
    void abandoned(Turn&) noexcept;
    Duration attempt_limit() const noexcept { return 20s; }
};

struct ModelObserver {
    FleetModel* model;
    std::uint32_t id;
    void on_state(const Transition& t);
    void on_message(int);
};

struct Service {
    Link<int> link{};
    bool open = false;   // there is a connection
    bool up = false;     // and it has reported opened
    bool ended = false;  // or its end
    bool removed = false;
    bool begun = false;
    Instant wants_since = never;  // connecting, and not dialled
};

struct FleetModel {
    explicit FleetModel(std::uint64_t seed, FleetOptions o) : bits{Seed{seed}}, options{o} {
        fleet = std::make_unique<Fleet<>>(options);
        fleet->attach(Waker{});
    }
    [[nodiscard]] std::uint64_t upto(std::uint64_t most) { return uniform_upto(bits, most); }
    [[nodiscard]] std::size_t opening() const {
        return static_cast<std::size_t>(std::count_if(all.begin(), all.end(), [](const auto& s) {
            return s.second.open && !s.second.up && !s.second.ended;
        }));
    }
    void fault(const char* what) {
        if (wrong.empty()) wrong = what;
    }
    void act(bool in_hook);
    void script(int steps);

    Random bits;
    FleetOptions options;
    std::map<std::uint32_t, Service> all{};
    std::uint32_t ids = 0;
    int depth = 0;
    int acts_in_hooks = 0;
    std::size_t dials = 0;
    Instant now{};
    Instant last_dial = always;
    std::string wrong{};
    std::unique_ptr<Fleet<>> fleet;
};

CountedTransport::Connection::Connection(CountedTransport& transport, const Link<int>& l)
    : model{*transport.model}, id{transport.id}, link{l} {
    Service& s = model.all[id];
    if (s.open) model.fault("two connections of one service");
    if (s.removed) model.fault("a dial after remove");
    s = {.link = l, .open = true, .begun = s.begun};
    ++model.dials;
    const FleetOptions& o = model.options;
    const std::size_t slow_max = o.slow_after == forever ? 0 : o.slow_dials_max;
    if (model.opening() > o.dials_max + slow_max) model.fault("more dials than the limit");
    if (model.last_dial != always && elapsed(model.last_dial, model.now) < model.options.dial_gap) {
        model.fault("two dials too close");
    }
    model.last_dial = model.now;
}
CountedTransport::Connection::~Connection() { model.all[id].open = false; }

void Ledger::begin(Turn&) noexcept {
    if (begun) model->fault("begun twice");
    begun = true;
}
Advice Ledger::failed(const Failure&, Turn& turn) noexcept {
    if (!begun) model->fault("failed without begin");
    begun = false;
    return Advice::wait_at_least(after(turn.now, 1s));
}
Advice Ledger::lost(const Failure&, Turn& turn) noexcept {
    if (begun) model->fault("lost while begun");
    return Advice::wait_at_least(after(turn.now, 1s));
}
void Ledger::succeeded(Turn&) noexcept {
    if (!begun) model->fault("succeeded without begin");
    begun = false;
}
void Ledger::abandoned(Turn&) noexcept { begun = false; }

void ModelObserver::on_state(const Transition& t) {
    Service& s = model->all[id];
    if (s.removed) model->fault("told after remove");
    s.wants_since = t.to.state == LinkState::connecting ? model->now : never;
    model->act(true);
}
void ModelObserver::on_message(int) {
    if (model->all[id].removed) model->fault("a message after remove");
    model->act(true);
}

void FleetModel::act(bool in_hook) {
    if (fleet == nullptr) return;
    if (in_hook && (acts_in_hooks >= 200 || upto(3) != 0)) return;
    acts_in_hooks += in_hook ? 1 : 0;
    const auto n = static_cast<std::uint32_t>(upto(ids));
    const std::string name = std::to_string(n);
    Service* const s = all.count(n) != 0 ? &all[n] : nullptr;
    switch (upto(13)) {
        case 0:
        case 1: {
            if (fleet->size() > 30) break;
            const std::uint32_t id = ++ids;
            all[id] = {};
            ServiceOptions o;
            o.priority = static_cast<std::uint8_t>(upto(2));
            fleet->add(std::to_string(id), CountedTransport{this, id}, Ledger{this, id},
                       std::move(o), ModelObserver{this, id});
            fleet->start();
            break;
        }
        case 2:
            if (fleet->contains(name)) {
                s->removed = true;
                fleet->remove(name);
            }
            break;
        case 3:
        case 4:
        case 5:
            if (s != nullptr && s->open && !s->ended) {
                s->up = s->link.opened() == driver::Post::taken;
            }
            break;
        case 6:
        case 7:
            if (s != nullptr && s->open) {
                s->ended = true;
                static_cast<void>(
                    s->link.closed({.cause = upto(4) == 0 ? Cause::overloaded : Cause::lost}));
            }
            break;
        case 8:
            for (auto& [id, one] : all) {
                if (!one.open || upto(9) == 0) continue;
                one.ended = true;
                static_cast<void>(one.link.closed({.cause = Cause::lost}));
            }
            break;
        case 9:
            static_cast<void>(fleet->reconnect_now(name, upto(1) != 0));
            break;
        case 10:
            fleet->reconnect_all();
            break;
        case 11:
            static_cast<void>(fleet->report_unhealthy(name));
            break;
        case 12:
            if (s != nullptr && s->open) static_cast<void>(s->link.received(1));
            break;
        default:
            if (in_hook && upto(40) == 0) {
                for (auto& [id, one] : all) one.removed = true;
                fleet.reset();
            }
            break;
    }
}

void FleetModel::script(int steps) {
    for (int i = 0; i < steps && fleet != nullptr; ++i) {
        acts_in_hooks = 0;
        act(false);
        const Duration step = upto(2) == 0
                                  ? Duration{static_cast<std::int64_t>(upto(2'000'000'000))}
                                  : Duration{static_cast<std::int64_t>(upto(50'000'000))};
        const Instant until = after(now, step);
        int turns = 0;
        while (fleet != nullptr && fleet->deadline() <= until) {
            if (++turns > 5000) return fault("never at rest");
            now = belay::detail::larger(now, fleet->deadline());
            fleet->advance(now);
        }
        now = until;
        if (fleet != nullptr) {
            const FleetStatus status = fleet->status();
            if (status.dialling > options.dials_max) fault("more fast dials than the limit");
            if (status.dialling_slowly > options.slow_dials_max) {
                fault("more slow dials than the limit");
            }
        }
        // The longest wait: all services have their dials of 20 s, and the wait of the network.
        for (auto& [id, one] : all) {
            if (!one.removed && one.open) one.wants_since = never;
            if (one.removed || one.wants_since == never) continue;
            const bool suspect = fleet != nullptr && fleet->status().network_suspect;
            if (!suspect && elapsed(one.wants_since, now) > 30 * 21s) fault("starved");
        }
    }
    // Every service gets a dial, or has one.
    for (int i = 0; i < 2000 && fleet != nullptr; ++i) {
        const Instant until = after(now, 500ms);
        for (auto& [id, one] : all) {
            if (one.open && !one.ended) one.up = one.link.opened() == driver::Post::taken;
        }
        int turns = 0;
        while (fleet != nullptr && fleet->deadline() <= until) {
            if (++turns > 5000) return fault("never at rest, at the end");
            now = belay::detail::larger(now, fleet->deadline());
            fleet->advance(now);
        }
        now = until;
        if (fleet == nullptr) return;
        acts_in_hooks = 1000;
        const FleetStatus status = fleet->status();
        if (status.count(LinkState::connected) == fleet->size()) break;
        if (i == 1999) fault("not all come up in peace");
    }
    if (fleet == nullptr) return;
    std::size_t sum = 0;
    for (const std::size_t n : fleet->status().totals) sum += n;
    if (sum != fleet->size()) fault("the totals do not add up");
}

}  // namespace

TEST_CASE("Fleet keeps its bounds under all interleavings", "[fleet][interleavings][property]") {
    std::size_t dials = 0;
    for_each_seed(
        [&](Seed seed) {
            FleetOptions options{.dials_max = 1 + seed.value % 4};
            if (seed.value % 3 == 0) options.dial_gap = 30ms;
            if (seed.value % 5 == 0) options.hold = 0s;
            options.slow_after = seed.value % 7 == 0 ? forever : 200ms * (1 + seed.value % 11);
            options.slow_dials_max = 1 + seed.value % 3;
            FleetModel model{seed.value, options};
            model.script(200);
            REQUIRE(model.wrong == "");
            model.fleet.reset();
            for (const auto& [id, one] : model.all) REQUIRE_FALSE(one.open);
            dials += model.dials;
        },
        1000);
    CHECK(dials > 300);
}
