// SPDX-License-Identifier: MIT
// Goal: every attempt requests its own token, which may arrive at any time and from any thread;
// a late answer has no effect. Method: scripted sources.
#include <belay/link/with_token.hpp>

#include <optional>
#include <stdexcept>
#include <thread>

#include <belay/link/bundle.hpp>
#include <belay/link/heartbeat.hpp>
#include <belay/link/served_link.hpp>

#include "support/link/link_rig.hpp"

using namespace belay;
using namespace belay_test;
using namespace std::chrono_literals;
using belay_test::FakeConnection;
using belay_test::TransportState;

namespace {

using Done = Completion<std::string>;

/// The requests to a source that are not answered yet.
struct PendingRequests {
    std::vector<Done> waiting;
    std::optional<std::string> at_once;
    int count = 0;
};

struct Source {
    using token_type = std::string;
    PendingRequests* requests;
    void operator()(Done done) {
        ++requests->count;
        if (requests->at_once) {
            done(*requests->at_once);
        } else {
            requests->waiting.push_back(std::move(done));
        }
    }
    void credentials(std::string token) { requests->at_once = std::move(token); }
};

struct TokenTransport {
    using message_type = std::string;
    TransportState* transport;
    FakeConnection<true> open(const Link<std::string>& link, const std::string& token) {
        transport->log.push_back("token " + token);
        return {*transport, link};
    }
};

struct TokenRig {
    TransportState transport;
    PendingRequests requests;
    LinkRig<WithToken<TokenTransport, Source>> rig{
        WithToken{TokenTransport{&transport}, Source{&requests}}};
};

/// Lets a test end attempts in a decorator around the WithToken.
struct EndsOutside : part::Around<WithToken<TokenTransport, Source>> {
    using Inside = WithToken<TokenTransport, Source>;
    EndsOutside(Inside inside, Link<std::string>& link) : Around{std::move(inside)}, outer{&link} {}
    struct Connection : part::Wrapped<part::ConnectionOf<Inside>, std::string> {
        Connection(EndsOutside& owner, const Link<std::string>& own)
            : Wrapped{[&] { return owner.inner_.open(own.child()); }} {
            *owner.outer = own;
        }
    };
    [[nodiscard]] Connection open(const Link<std::string>& link) { return {*this, link}; }
    Link<std::string>* outer;
};

}  // namespace

TEST_CASE("WithToken opens with a token that arrives at once, later, or from another thread",
          "[link][with_token][unit]") {
    TokenRig r;
    SECTION("at once") {
        r.requests.at_once = "t";
        r.rig.start();
    }
    SECTION("later") {
        r.rig.start();
        CHECK(r.transport.dials == 0);
        CHECK(r.rig.state() == LinkState::connecting);
        r.requests.waiting.at(0)("t");
        r.rig.run(1s);
    }
    SECTION("by another thread") {
        r.rig.start();
        std::thread{[done = std::move(r.requests.waiting.at(0))]() mutable { done("t"); }}.join();
        r.rig.run(1s);
    }
    REQUIRE(r.transport.dials == 1);
    CHECK(r.transport.log.at(0) == "token t");
    r.transport.link.opened();
    r.rig.run(1s);
    CHECK(r.rig.state() == LinkState::connected);
    receive(r.transport.link, "m");
    r.rig.run(1s);
    CHECK(r.rig.notes.observed.back() == "message m on 0");
    CHECK(r.rig.link.send("x") == SendResult::sent);
}

TEST_CASE("WithToken fails an attempt whose token request is destroyed without an answer",
          "[link][with_token][unit]") {
    TokenRig r;
    r.rig.start();
    r.requests.waiting.clear();
    r.rig.run(0s);
    CHECK(r.rig.state() == LinkState::cooldown);
    CHECK(r.rig.link.status().failure.error() == LinkErrc::no_token);
    CHECK(r.transport.dials == 0);
}

TEST_CASE("WithToken fails at the attempt's time limit if its source never answers",
          "[link][with_token][unit]") {
    TokenRig r;
    r.rig.start();
    r.rig.run(30s);
    CHECK(r.rig.link.status().failure.error() == LinkErrc::attempt_timed_out);
    CHECK(r.rig.link.status().failure.origin == Failure::Origin::local);
    // As an answer without a token, it counts for the policy.
    CHECK_FALSE(r.rig.link.status().withdrawn);
    CHECK(r.rig.link.status().attempt == 1);
}

TEST_CASE("WithToken charges the peer with a dial that takes too long",
          "[link][with_token][unit]") {
    TokenRig r;
    r.rig.start();
    r.requests.waiting.at(0)("t");
    r.rig.run(0s);
    REQUIRE(r.transport.dials == 1);
    r.rig.run(30s);
    CHECK(r.rig.link.status().failure.error() == LinkErrc::attempt_timed_out);
    CHECK(r.rig.link.status().failure.origin != Failure::Origin::local);
}

TEST_CASE("The wait for a token takes nothing from the time limit of the dial",
          "[link][with_token][regression]") {
    TokenRig r;
    r.rig.start();
    r.rig.run(29s);
    r.requests.waiting.at(0)("t");
    r.rig.run(29s);
    r.rig.run(31s);
    CHECK(r.rig.state() == LinkState::connecting);
    CHECK(r.transport.dials == 1);
    SECTION("a peer that answers") {
        r.transport.link.opened();
        r.rig.run(31s);
        CHECK(r.rig.state() == LinkState::connected);
    }
    SECTION("a silent one has failed, 30 s after it was dialled") {
        r.rig.run(58s);
        CHECK(r.rig.state() == LinkState::connecting);
        r.rig.run(59s);
        CHECK(r.rig.link.status().failure.error() == LinkErrc::attempt_timed_out);
        CHECK(r.rig.link.status().failure.origin != Failure::Origin::local);
    }
}

TEST_CASE("WithToken ignores an answer after its attempt", "[link][with_token][unit]") {
    TokenRig r;
    r.rig.start();
    SECTION("the attempt timed out") { r.rig.run(30s); }
    SECTION("the link was stopped") { r.rig.link.stop(); }
    SECTION("another attempt runs") {
        r.rig.link.stop();
        r.rig.start();
    }
    const LinkState before = r.rig.state();
    r.requests.waiting.at(0)("late");
    r.rig.run(29s);
    CHECK(r.rig.state() == before);
    CHECK(r.transport.dials == 0);
}

TEST_CASE("A completion outlives its supervisor", "[link][with_token][fault]") {
    PendingRequests requests;
    TransportState transport;
    {
        LinkRig rig{WithToken{TokenTransport{&transport}, Source{&requests}}};
        rig.start();
    }
    requests.waiting.at(0)("late");
    requests.waiting.clear();
    CHECK(transport.dials == 0);
}

TEST_CASE("WithToken requests a token at each attempt", "[link][with_token][unit]") {
    TokenRig r;
    r.requests.at_once = "a";
    r.rig.start();
    r.transport.link.closed();
    r.rig.run(0s);
    r.requests.at_once = "b";
    r.rig.run(1s);
    CHECK(r.requests.count == 2);
    CHECK(r.transport.log.back() == "open");
    CHECK(r.transport.log.at(r.transport.log.size() - 2) == "token b");
}

TEST_CASE("Supervisor::credentials reaches the source, and leaves blocked_auth",
          "[link][with_token][unit]") {
    TokenRig r;
    r.requests.at_once = "old";
    r.rig.start();
    r.transport.link.closed({.cause = Cause::unauthorized});
    r.rig.run(0s);
    REQUIRE(r.rig.state() == LinkState::blocked_auth);
    r.rig.run(24h);
    CHECK(r.transport.dials == 1);
    r.rig.link.credentials("new");
    r.rig.run(24h);
    CHECK(r.rig.state() == LinkState::connecting);
    CHECK(r.transport.log.at(r.transport.log.size() - 2) == "token new");
}

TEST_CASE("Supervisor::credentials without values reaches a source that keeps its token",
          "[link][with_token][regression]") {
    struct Keeps {
        using token_type = std::string;
        int* fetched;
        std::optional<std::string> kept{};
        void operator()(Done done) {
            if (!kept) kept = "token " + std::to_string(++*fetched);
            done(*kept);
        }
        void credentials() { kept.reset(); }
    };
    TransportState transport;
    int fetched = 0;
    LinkRig rig{Heartbeat{WithToken{TokenTransport{&transport}, Keeps{&fetched}}, {}}};
    rig.start();
    transport.link.closed({.cause = Cause::unauthorized});
    rig.run(0s);
    REQUIRE(rig.state() == LinkState::blocked_auth);
    rig.link.credentials();
    rig.run(1s);
    CHECK(fetched == 2);
    CHECK(rig.state() == LinkState::connecting);
}

TEST_CASE("Supervisor::credentials goes through decorators", "[link][with_token][regression]") {
    TransportState transport;
    PendingRequests requests;
    LinkRig rig{Heartbeat{WithToken{TokenTransport{&transport}, Source{&requests}}, {}}};
    rig.link.credentials("through");
    rig.start();
    CHECK(transport.log.at(0) == "token through");
}

TEST_CASE("WithToken ends an attempt whose inner open throws", "[link][with_token][regression]") {
    TokenRig r;
    r.requests.at_once = "t";
    r.transport.on_open = [&](const Link<std::string>&) {
        --r.transport.live;  // its destructor will not run
        throw std::runtime_error{"open"};
    };
    r.rig.link.start();
    CHECK_THROWS_AS(r.rig.run(0s), std::runtime_error);
    r.rig.run(0s);
    CHECK(r.rig.state() == LinkState::cooldown);
    CHECK(r.rig.link.status().failure.error() == LinkErrc::open_threw);
}

TEST_CASE("WithToken ends an attempt whose source of tokens throws", "[link][with_token][fault]") {
    struct Throwing {
        using token_type = std::string;
        void operator()(Completion<std::string>) { throw std::runtime_error{"source"}; }
    };
    TransportState transport;
    LinkRig rig{WithToken{TokenTransport{&transport}, Throwing{}}};
    rig.link.start();
    CHECK_THROWS_AS(rig.run(0s), std::runtime_error);
    rig.run(0s);
    CHECK(rig.state() == LinkState::cooldown);
    CHECK(rig.link.status().failure.error() == LinkErrc::open_threw);
    CHECK(transport.dials == 0);
}

TEST_CASE("WithToken in a bundle keeps its lane", "[link][with_token][unit]") {
    TransportState a, b;
    PendingRequests requests;
    requests.at_once = "t";
    LinkRig rig{
        Bundle{belay_test::FakeTransport<>{a}, WithToken{TokenTransport{&b}, Source{&requests}}}};
    rig.start();
    a.link.opened();
    b.link.opened();
    rig.run(0s);
    receive(b.link, "m");
    rig.run(0s);
    CHECK(rig.notes.observed == Observed{"connecting", "connected", "message m on 1"});
    rig.link.stop();
    CHECK(a.log.back() == "close");
    CHECK(b.log.back() == "close");
}

TEST_CASE("WithToken blocks at the second 403 in a row, and not at the first",
          "[link][with_token][unit]") {
    TokenRig r;
    r.requests.at_once = "t";
    r.rig.link.start();
    r.rig.run(0s);
    r.transport.link.closed(http_failure(403));
    r.rig.run(0s);
    CHECK(r.rig.link.status().state == LinkState::cooldown);
    r.rig.run(1s);
    SECTION("the second in a row blocks") {
        r.transport.link.closed(http_failure(403));
        r.rig.run(1s);
        CHECK(r.rig.link.status().state == LinkState::blocked_auth);
        CHECK(r.requests.count == 2);
    }
    SECTION("another failure in between resets the count") {
        r.transport.link.closed(Failure{.cause = Cause::refused});
        r.rig.run(1s);
        r.rig.run(3s);
        r.transport.link.closed(http_failure(403));
        r.rig.run(3s);
        CHECK(r.rig.link.status().state == LinkState::cooldown);
        CHECK(r.requests.count == 3);
    }
    SECTION("a connection in between resets the count") {
        r.transport.link.opened();
        r.rig.run(1s);
        r.transport.link.closed(http_failure(403));
        r.rig.run(1s);
        CHECK(r.rig.link.status().state == LinkState::cooldown);
    }
}

TEST_CASE("WithToken counts 403s in a row also over attempts that end outside of the transport",
          "[link][with_token][regression]") {
    TransportState transport;
    PendingRequests requests;
    requests.at_once = "t";
    Link<std::string> outer;
    LinkRig rig{EndsOutside{WithToken{TokenTransport{&transport}, Source{&requests}}, outer}};
    const auto next_attempt = [&] { rig.run(elapsed(Instant{}, rig.link.status().retry_at)); };
    const auto forbid = [&] {
        transport.link.closed(http_failure(403));
        rig.run(elapsed(Instant{}, rig.link.now()));
    };
    rig.start();
    forbid();
    REQUIRE(rig.state() == LinkState::cooldown);
    SECTION("an attempt whose source rejects it") {
        requests.at_once.reset();
        next_attempt();
        requests.waiting.clear();
        rig.run(elapsed(Instant{}, rig.link.now()));
        REQUIRE(rig.link.status().failure.error() == LinkErrc::no_token);
        requests.at_once = "t";
        next_attempt();
        forbid();
        CHECK(rig.state() == LinkState::cooldown);
    }
    SECTION("an attempt that times out") {
        next_attempt();
        rig.run(elapsed(Instant{}, rig.link.now()) + 30s);
        REQUIRE(rig.link.status().failure.error() == LinkErrc::attempt_timed_out);
        next_attempt();
        forbid();
        CHECK(rig.state() == LinkState::cooldown);
    }
    SECTION("a withdrawn attempt shows nothing about the token") {
        next_attempt();
        outer.withdraw(Failure{.cause = Cause::lost});
        rig.run(elapsed(Instant{}, rig.link.now()));
        REQUIRE(rig.link.status().withdrawn);
        next_attempt();
        forbid();
        CHECK(rig.state() == LinkState::blocked_auth);
    }
}

TEST_CASE("WithToken bounds messages and output of the connection that it opens later",
          "[link][with_token][unit]") {
    TransportState transport;
    PendingRequests requests;
    WithToken with_token{TokenTransport{&transport}, Source{&requests}};
    ServedLink served{std::move(with_token), 4, Waker{}, 0};
    served.limit_messages(100);
    served.limit_output(50);
    CHECK(transport.dials == 0);
    requests.waiting.at(0)("t");
    served.advance(at(0s), 4, [](const std::string&, Lane) {});
    REQUIRE(transport.dials == 1);
    CHECK(transport.limit == 100);
    CHECK(transport.output_limit == 50);
    served.limit_messages(7);
    served.limit_output(3);
    CHECK(transport.limit == 7);
    CHECK(transport.output_limit == 3);
}
