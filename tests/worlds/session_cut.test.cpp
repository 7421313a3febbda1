// SPDX-License-Identifier: MIT
// Goal: a Session delivers each operation exactly once, although its transport cuts messages and
// ends the connection as if that were planned, and it works soon after the last cut. Method: a
// simulated world, and a decorator that cuts messages of both directions at random places.
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <belay/backoff/backoff.hpp>
#include <belay/backoff/caps.hpp>
#include <belay/backoff/jitters.hpp>
#include <belay/journal/journal.hpp>
#include <belay/policy/rules.hpp>
#include <belay/session/session.hpp>
#include <belay/sim/tcp.hpp>

#include "support/worlds/explored.hpp"
#include "support/worlds/ledger_server.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t cut_orders = 60;

/// Decides which messages are cut, and where.
struct Cuts {
    Random bits;
    Cause cause;
    bool on = true;
    int received = 0;
    int sent = 0;

    bool hits() { return on && uniform_upto(bits, 9) == 0; }
    std::size_t shorter(std::size_t bytes) {
        return bytes == 0 ? 0 : static_cast<std::size_t>(uniform_upto(bits, bytes - 1));
    }
};

/// Passes the beginning of a message on as a whole message, and ends the connection.
class CutTcp : public part::Around<sim::Tcp> {
public:
    using message_type = Bytes;

    CutTcp(sim::Tcp inner, Cuts& cuts) : part::Around<sim::Tcp>{std::move(inner)}, cuts_{&cuts} {}

    class Connection : public part::Wrapped<part::ConnectionOf<sim::Tcp>, Bytes> {
        using Base = part::Wrapped<part::ConnectionOf<sim::Tcp>, Bytes>;

    public:
        Connection(CutTcp& owner, const Link<Bytes>& own)
            : Base{[&] { return owner.inner_.open(own.child()); }}, own_{own}, cuts_{owner.cuts_} {}

        [[nodiscard]] SendResult send(Lane lane, const Bytes& message) noexcept {
            if (ended_) return SendResult::sent;
            if (!cuts_->hits()) return Base::send(lane, message);
            Bytes cut = message;
            end(cut, cuts_->sent);
            return Base::send(lane, cut);
        }
        [[nodiscard]] bool sift(part::Event<Bytes>& event, Turn& turn) {
            if (!Base::sift(event, turn)) return false;
            if (event.kind != part::EventKind::received) return true;
            if (ended_) return false;
            if (cuts_->hits()) end(*event.message, cuts_->received);
            return true;
        }

    private:
        void end(Bytes& message, int& count) noexcept {
            message.resize(cuts_->shorter(message.size()));
            ++count;
            ended_ = true;
            own_.closed({.cause = cuts_->cause});
        }

        Link<Bytes> own_;
        Cuts* cuts_;
        bool ended_ = false;
    };

    [[nodiscard]] Connection open(const Link<Bytes>& link) { return {*this, link}; }

private:
    Cuts* cuts_;
};

auto cut_policy() { return Policy{Backoff{EqualJitter{}, Cap{2s}, 200ms}, AttemptTimeout{2s}}; }

/// Sends an order each tenth of a second.
class CutClient {
    struct Watch {
        CutClient* client;
        void on_acknowledged(std::uint64_t up_to) { client->acknowledged_ = up_to; }
        void on_blocked(Blocked, const BlockedDetails&) { client->is_blocked_ = true; }
    };
    using Sender = Session<CutTcp, decltype(cut_policy()), Queue<Journal<sim::Disk>>, Watch>;

public:
    CutClient(sim::Host& host, Cuts& cuts) : host_{host} {
        auto outbox = Journal<sim::Disk>::open(host.disk(), "data/outbox", {.seed = Seed{1}});
        REQUIRE(outbox);
        sender_.emplace(
            CutTcp{sim::Tcp{host, "server", 1}, cuts}, cut_policy(), Queue{std::move(*outbox)},
            SessionOptions{.id = Id{std::byte{1}}, .greeting_max = 1500ms}, Watch{this});
        host.attach(*sender_);
        sender_->start();
        send();
    }
    [[nodiscard]] bool is_done() const { return acknowledged_ == cut_orders; }
    [[nodiscard]] bool is_blocked() const { return is_blocked_; }

private:
    void send() {
        REQUIRE(sender_->send(as_bytes(std::to_string(++taken_))));
        if (taken_ < cut_orders) host_.after(100ms, [this] { send(); });
    }

    sim::Host& host_;
    std::uint64_t taken_ = 0;
    std::uint64_t acknowledged_ = 0;
    bool is_blocked_ = false;
    std::optional<Sender> sender_{};
};

}  // namespace

TEST_CASE("Session delivers each operation once over a transport that cuts messages",
          "[worlds][session][sim]") {
    const Cause cause = GENERATE(Cause::planned, Cause::lost);
    const std::uint64_t seed = cause == Cause::planned ? 1 : 2;
    INFO("seed " << seed << ", cause " << static_cast<int>(cause));
    sim::World world{Seed{seed}};
    Cuts cuts{Random{Seed{seed}}, cause};
    sim::Host& server = world.host("server", [&](sim::Host& host) {
        return std::make_unique<LedgerServer>(host, world, HeartbeatOptions{});
    });
    sim::Host& client = world.host(
        "client", [&](sim::Host& host) { return std::make_unique<CutClient>(host, cuts); });
    world.run_for(8s);
    CHECK(cuts.sent > 0);
    CHECK(cuts.received > 0);
    cuts.on = false;
    // The limit is the longest wait, and two attempts.
    CHECK(world.run_until([&] { return client.process<CutClient>()->is_done(); }, 10s));
    CHECK_FALSE(client.process<CutClient>()->is_blocked());
    sim::History history{world.clock()};
    for (std::uint64_t number = 1; number <= cut_orders; ++number) {
        history.invoke("order", number);
        history.succeed("order", number);
    }
    read_effects(server, "order", history);
    CHECK(exactly_once_in_order(history) == "");
}
