// SPDX-License-Identifier: MIT
// Code that the small programs share: a client that sends the numbers 1 to 20, and a server that
// stores and acknowledges them. Each program adds one mistake.
#pragma once

#include <charconv>
#include <memory>
#include <string>
#include <utility>

#include <belay/belay.hpp>
#include <belay/sim.hpp>

namespace bugs {

using namespace belay;
using namespace std::chrono_literals;

inline constexpr std::uint64_t numbers = 20;

/// The data that the test observes. It lives longer than the processes.
struct Observed {
    explicit Observed(sim::World& w) : world{w}, history{w.clock()} {}

    sim::World& world;
    sim::History history;
    std::uint64_t acknowledged = 0;  ///< all numbers up to this one
};

inline std::uint64_t number_in(const Bytes& message) {
    const std::string_view text = as_text(message);
    std::uint64_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

struct ClientOptions {
    bool resends_at_once = true;       ///< when it is connected again
    Duration timeout = 2s;             ///< when it sends again what was not acknowledged; or never
    Duration timeout_after_loss = 2s;  ///< the same, until the first acknowledgement after a loss
    bool cancels_timeouts = true;      ///< when a number is acknowledged
    std::uint32_t attempts = 1000000;  ///< gives up after so many failures in a row
    std::uint64_t window = 1;          ///< how many numbers may be on the way
};

inline auto patience(ClientOptions options) {
    return Policy{Backoff{FullJitter{}, Cap{400ms}, 50ms}, MaxAttempts{options.attempts},
                  AttemptTimeout{1s}};
}

class Client {
public:
    Client(Observed& observed, sim::Host& host, ClientOptions options)
        : observed_{observed},
          host_{host},
          options_{options},
          link_{transport(host), patience(options), *this} {
        host.attach(link_);
        link_.start();
        tick();
    }
    void on_state(auto&, const Transition& change) {
        if (change.to.state != LinkState::connected) return;
        timeout_now_ =
            std::exchange(was_connected_, true) ? options_.timeout_after_loss : options_.timeout;
        if (options_.resends_at_once) sent_ = observed_.acknowledged;
    }
    void on_message(const Bytes& message) {
        const std::uint64_t number = number_in(message);
        if (number != observed_.acknowledged + 1) return;
        observed_.history.succeed("client", number);
        observed_.acknowledged = number;
        timeout_now_ = options_.timeout;
        if (options_.cancels_timeouts) timeout_.cancel();
        if (sent_ > number) expect_answer();
    }

private:
    static Heartbeat<sim::Tcp> transport(sim::Host& host) {
        return {sim::Tcp{host, "server", 9000}, {.every = 300ms, .dead_after = 900ms}};
    }
    void tick() {
        while (sent_ < numbers && sent_ < observed_.acknowledged + options_.window) {
            observed_.history.invoke("client", sent_ + 1);
            if (link_.send(std::to_string(sent_ + 1)) != SendResult::sent) break;
            ++sent_;
            expect_answer();
        }
        if (observed_.acknowledged < numbers) host_.after(100ms, [this] { tick(); });
    }
    /// Sends again later what is then not acknowledged.
    void expect_answer() {
        if (timeout_now_ == forever) return;
        if (options_.cancels_timeouts) timeout_.cancel();
        waits_since_ = host_.now();
        timeout_ = host_.after(timeout_now_, [this] {
            if (sent_ <= observed_.acknowledged) return;
            observed_.world.require("an answer has its whole time",
                                    elapsed(waits_since_, host_.now()) >= timeout_now_);
            sent_ = observed_.acknowledged;
        });
    }

    Observed& observed_;
    sim::Host& host_;
    ClientOptions options_;
    std::uint64_t sent_ = observed_.acknowledged;
    Duration timeout_now_ = options_.timeout;
    Instant waits_since_{};
    Timer timeout_;
    bool was_connected_ = false;
    Supervisor<Heartbeat<sim::Tcp>, decltype(patience({})), std::reference_wrapper<Client>> link_;
};

/// A server over a Store, which has `bool take(number)`: whether the number may be acknowledged.
template <class Store>
class Server {
public:
    Server(sim::Host& host, Store store) : store_{std::move(store)} {
        host.listen(9000, [this, &host](sim::Accepted connection) {
            guest_ = std::make_unique<Guest>(
                Heartbeat<sim::Accepted>{std::move(connection),
                                         {.every = 300ms, .dead_after = 900ms}},
                MaxAttempts{1}, Reader{&store_});
            host.attach(*guest_);
            guest_->start();
        });
    }

private:
    struct Reader {
        Store* store;
        void on_message(auto& link, const Bytes& message) {
            if (store->take(number_in(message))) static_cast<void>(link.send(message));
        }
    };
    using Guest = Supervisor<Heartbeat<sim::Accepted>, MaxAttempts, Reader>;

    Store store_;
    std::unique_ptr<Guest> guest_;
};

/// Runs a client and a server through the faults, and requires that all is acknowledged afterwards.
/// `make_store(host, observed)` makes the store of each process.
template <class MakeStore>
bool run_counter(sim::World& world, ClientOptions options, MakeStore make_store) {
    auto& observed = world.make<Observed>(world);
    world.host("server", [&observed, make_store](sim::Host& host) {
        using Store = decltype(make_store(host, observed));
        return std::make_unique<Server<Store>>(host, make_store(host, observed));
    });
    world.host("client", [&observed, options](sim::Host& host) {
        return std::make_unique<Client>(observed, host, options);
    });
    world.always("at most once", [&observed] { return at_most_once(observed.history); });
    world.run_for(5s);
    world.heal();
    return world.eventually("all acknowledged", 60s,
                            [&observed] { return observed.acknowledged == numbers; });
}

/// A store in memory of which nothing is lost: for bugs that need no disk.
class Memory {
public:
    Memory(Observed& observed, std::uint64_t& last) : observed_{observed}, last_{last} {}
    bool take(std::uint64_t number) {
        if (number == last_ + 1) observed_.history.effect("client", last_ = number);
        return number <= last_;
    }

private:
    Observed& observed_;
    std::uint64_t& last_;
};

/// A file of 8 bytes for each number, in a directory that is there.
class NumberFile {
public:
    explicit NumberFile(sim::Host& host) : disk_{host.disk()} {
        auto opened = disk_.open(path, OpenMode::write);
        if (opened) {
            file_.emplace(std::move(*opened));
            while (is(last_ + 1)) ++last_;
        }
    }
    /// Makes the file durable, without numbers, if it is not there.   Returns: whether it is.
    bool make() {
        if (file_) return true;
        auto made = disk_.open(path, OpenMode::replace);
        if (!made || made->sync() || disk_.sync_directory("data")) return false;
        file_.emplace(std::move(*made));
        return true;
    }
    /// Writes a number, not durably.
    bool write(std::uint64_t number) {
        const std::string text = line(number);
        return !file_->write(8 * (number - 1), as_bytes(text));
    }
    [[nodiscard]] std::error_code sync() { return file_->sync(); }
    [[nodiscard]] std::uint64_t last() const { return last_; }
    void last(std::uint64_t number) { last_ = number; }

private:
    static constexpr const char* path = "data/numbers";
    static std::string line(std::uint64_t number) {
        std::string text = std::to_string(number);
        return text + std::string(8 - text.size(), '.');
    }
    [[nodiscard]] bool is(std::uint64_t number) const {
        Bytes bytes(8);
        const auto read = file_->read(8 * (number - 1), bytes);
        return read && *read == 8 && as_text(bytes) == line(number);
    }

    sim::Disk& disk_;
    std::optional<sim::Disk::File> file_;
    std::uint64_t last_ = 0;
};

/// Checks when a server starts that nothing that was acknowledged is lost.
inline void require_no_loss(Observed& observed, std::uint64_t last) {
    observed.world.require("no acknowledged loss", last >= observed.acknowledged
                                                       ? std::string{}
                                                       : "the disk has " + std::to_string(last) +
                                                             ", acknowledged were " +
                                                             std::to_string(observed.acknowledged));
}

/// A store in a NumberFile. `flush(file, number)` returns whether the number may be acknowledged.
template <class Flush>
class NumberStore {
public:
    NumberStore(sim::Host& host, Observed& observed, Flush flush) : file_{host}, flush_{flush} {
        require_no_loss(observed, file_.last());
    }
    bool take(std::uint64_t number) {
        if (number != file_.last() + 1) return number <= file_.last();
        if (!file_.make() || !file_.write(number) || !flush_(file_, number)) return false;
        file_.last(number);
        return true;
    }

private:
    NumberFile file_;
    Flush flush_;
};

template <class Flush>
bool run_number_store(sim::World& world, Flush flush) {
    return run_counter(world, {}, [flush](sim::Host& host, Observed& observed) {
        return NumberStore<Flush>{host, observed, flush};
    });
}

}  // namespace bugs
