// SPDX-License-Identifier: MIT
// Goal: a million operations that were accepted while the peer was down are delivered once each,
// in order, although both sides are killed meanwhile; the operations are on the disk, not in
// memory. Method: a world in virtual time; operator new counts the memory, with the client's
// journal on real files, because the bytes of a simulated disk are memory too.
#include <belay/session/receiver.hpp>
#include <belay/session/session.hpp>

#include <map>
#include <memory>
#include <optional>
#include <type_traits>

#include <belay/backoff/backoff.hpp>
#include <belay/journal/journal.hpp>
#include <belay/policy/rules.hpp>
#include <belay/posix/journal.hpp>
#include <belay/sim.hpp>

#include "support/catch.hpp"
#include "support/sanitizer.hpp"
#include "support/seeds.hpp"
#include "support/temporary_directory.hpp"

// Sanitizers have their own operator new.
#if !BELAY_TEST_SANITIZED
#    include "support/counting_new.hpp"
#endif

using namespace belay;
using namespace std::chrono_literals;

namespace {

constexpr std::uint16_t port = 1;

Bytes body_of(std::uint64_t number) {
    Bytes body(16);
    store_le<std::uint64_t>(body.data(), number);
    store_le<std::uint64_t>(body.data() + 8, number * 0x9E3779B97F4A7C15U);
    return body;
}

/// The durable data of the server. The number of the last operation shows whether each came once,
/// in order.
struct LedgerStorage {
    std::map<Id, Progress> progress;
    std::uint64_t delivered = 0;
    bool wrong = false;
};

/// The data in the memory of a server's process. Data that is not committed is lost when it is
/// killed.
class Ledger {
public:
    explicit Ledger(LedgerStorage& storage) : storage_{&storage}, now_{storage} {}

    [[nodiscard]] const Id& store_id() const noexcept { return store_; }
    [[nodiscard]] std::optional<Progress> progress(const Id& sender) const {
        const auto i = now_.progress.find(sender);
        return i == now_.progress.end() ? std::nullopt : std::optional{i->second};
    }
    std::error_code adopt(const Id& sender, const Progress& p) {
        now_.progress[sender] = p;
        return commit();
    }
    std::error_code apply(const Id& sender, const Progress& p, BytesView operation) {
        now_.progress[sender] = p;
        const Bytes expected = body_of(++now_.delivered);
        if (p.applied != now_.delivered ||
            !std::equal(operation.begin(), operation.end(), expected.begin(), expected.end())) {
            now_.wrong = true;
        }
        return {};
    }
    std::error_code commit() {
        *storage_ = now_;
        return {};
    }

private:
    Id store_{std::byte{9}};
    LedgerStorage* storage_;
    LedgerStorage now_;
};

struct Server {
    Server(sim::Host& host, LedgerStorage& storage) : receiver{Ledger{storage}} {
        host.attach(receiver);
        host.listen(port,
                    [this](sim::Accepted connection) { receiver.accept(std::move(connection)); });
    }
    Receiver<sim::Accepted, Ledger> receiver;
};

auto patience() { return Policy{Backoff{FullJitter{}, Cap{2s}, 100ms}, AttemptTimeout{3s}}; }

constexpr std::size_t segment_bytes = std::size_t{1} << 20;

JournalOptions outbox(const sim::Host& h) {
    return {.segment_bytes = segment_bytes, .record_bytes_max = 4096, .seed = Seed{h.starts()}};
}

template <class Log>
struct LoadClient {
    using Link = Session<sim::Tcp, decltype(patience()), Queue<Log>>;

    LoadClient(sim::Host& h, Log log, std::uint64_t all)
        : host{h},
          operations{all},
          session{sim::Tcp{h, "server", port}, patience(),
                  Queue{std::move(log), {.limit = 2'000'000}},
                  SessionOptions{.id = Id{std::byte{1}}}} {
        h.attach(session);
        session.start();
        fill();
    }
    void fill() {
        std::uint64_t n = session.queue().storage().last();
        for (int i = 0; i < 5000 && n < operations; ++i) {
            REQUIRE(session.send(body_of(++n)));
        }
        if (n < operations) host.after(1ms, [this] { fill(); });
    }

    sim::Host& host;
    std::uint64_t operations;
    Link session;
};

/// A server, and a client that has this many operations to send; `open(host)` opens its journal.
class LoadRig {
public:
    template <class Open>
    LoadRig(std::uint64_t all, Open open)
        : operations_{all},
          server_{&world_.host(
              "server", [this](sim::Host& h) { return std::make_unique<Server>(h, storage_); })},
          client_{&world_.host("client", [open, all](sim::Host& h) {
              auto log = open(h);
              REQUIRE(log);
              using Log = std::remove_cvref_t<decltype(*log)>;
              return std::make_unique<LoadClient<Log>>(h, std::move(*log), all);
          })} {}

    /// Makes the client accept all operations while the network is cut.
    void fill() {
        world_.network().partition(*client_, *server_);
        world_.run_for(10s);
        CHECK(storage_.delivered == 0);
    }
    /// Delivers all operations, while one side or the other is killed now and then.
    void drain() {
        world_.network().heal_all();
        int kills = 0;
        for (int i = 0; i < 10000 && storage_.delivered < operations_; ++i) {
            // The number of kills does not depend on the number of operations.
            world_.run_for(operations_ * 50ns);
            if (storage_.delivered < operations_ && i % 8 == 7) {
                world_.restart(++kills % 2 == 0 ? *client_ : *server_);
            }
        }
        CHECK(storage_.delivered == operations_);
        CHECK_FALSE(storage_.wrong);
        CHECK(kills >= 4);
        // Delivered operations are removed.
        world_.run_for(10s);
    }
    [[nodiscard]] const sim::Disk& disk() const { return client_->disk(); }

private:
    sim::World world_{Seed{3}};
    LedgerStorage storage_;
    std::uint64_t operations_;
    sim::Host* server_;
    sim::Host* client_;
};

/// A million operations in Release builds, a tenth of that under sanitizers.
std::uint64_t load() {
    return belay_test::from_environment("BELAY_SEEDS", 2000) >= 2000 ? 1'000'000 : 100'000;
}

}  // namespace

TEST_CASE("Session delivers a million operations over kills of both sides, each once, in order",
          "[session][session_load][sim]") {
    const std::uint64_t operations = load();
    LoadRig rig{operations, [](sim::Host& h) {
                    return Journal<sim::Disk>::open(h.disk(), "outbox", outbox(h));
                }};
    rig.fill();
    CHECK(rig.disk().used_bytes() > operations * 40);
    rig.drain();
    // One file is left, and the lock, which is empty.
    CHECK(rig.disk().used_bytes() == segment_bytes);
}

#if !BELAY_TEST_SANITIZED
TEST_CASE("Session holds less than a byte for each waiting or delivered operation",
          "[session][session_load][sim]") {
    constexpr std::uint64_t operations = 1'000'000;
    const belay_test::TemporaryDirectory directory;
    const belay_test::Counting counting;
    LoadRig rig{operations, [&](sim::Host& h) {
                    return posix::Journal::open(directory / "outbox", outbox(h));
                }};
    const std::int64_t empty = counting.held();
    rig.fill();
    rig.drain();
    const std::int64_t peak = counting.peak() - empty;
    const std::int64_t drained = counting.held() - empty;
    INFO("empty " << empty << ", the most beyond that " << peak << ", drained " << drained);
    CHECK(empty > 0);
    CHECK(peak > 0);
    // The journal holds a quarter of a byte for each waiting operation, and the operations that are
    // being sent.
    CHECK(peak < 768 << 10);
    CHECK(drained < 384 << 10);
}
#endif
