// SPDX-License-Identifier: MIT
#include <cstdio>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <belay/posix.hpp>
using namespace belay;
using namespace std::chrono_literals;

/// Call all functions on one thread.
template <class Publish>
class Spool {
public:
    Spool(posix::Journal& journal, Publish publish) : journal_{journal}, publish_{std::move(publish)}, next_{journal.base()} {}

    // excerpt: begin
    /// Call it when the client has connected again, or reports that a message was not delivered: the messages in flight
    /// are sent once more.
    void connected() {
        ++connection_;
        next_ = journal_.base();
        confirmed_.clear();
        send();
    }
    /// Call it after each flush of new messages, and at a timer of some seconds.
    void send() {
        if (sending_) return;  // the client confirmed inside publish
        sending_ = true;
        while (send_next()) {
        }
        sending_ = false;
    }
    // excerpt: end

private:
    static constexpr std::uint64_t in_flight_max = 100;

    // excerpt: begin
    bool send_next() {
        if (next_ > journal_.durable() || next_ >= journal_.base() + in_flight_max) return false;
        const std::uint64_t number = next_;
        const auto message = journal_.read(number);
        if (!message && message.error() != QueueErrc::corrupt) return false;  // the disk fails: the timer tries again
        ++next_;
        if (!message) return confirm(number), true;  // it can never be sent
        const bool is_taken = publish_(number, *message, [this, number, connection = connection_] {
            if (connection == connection_) confirm(number), send();
        });
        if (!is_taken) next_ = number;  // the client takes no more: the timer tries again
        return is_taken;
    }
    void confirm(std::uint64_t number) {
        confirmed_.insert(number);
        std::uint64_t up_to = journal_.base() - 1;
        while (confirmed_.erase(up_to + 1) != 0) ++up_to;
        if (up_to >= journal_.base()) static_cast<void>(journal_.ack(up_to));  // an error is repeated by the next one
    }
    // excerpt: end

    posix::Journal& journal_;
    Publish publish_;
    std::uint64_t next_;
    std::uint64_t connection_ = 0;
    bool sending_ = false;
    std::set<std::uint64_t> confirmed_{};
};

/// Stands for yours, which has a thread of its own.
class Client {
public:
    ~Client() { stop(); }
    /// Returns whether it takes the message. It calls `confirmed` on its own thread.
    bool publish(std::string message, std::function<void()> confirmed) {
        const std::lock_guard lock{mutex_};
        if (!is_connected_) return false;
        std::printf("published %s\n", message.c_str());
        confirmed_.push_back(std::move(confirmed));
        return true;
    }
    void connect(std::function<void()> connected) {
        thread_ = std::thread{[this, connected = std::move(connected)] {
            std::unique_lock lock{mutex_};
            is_connected_ = true;
            connected();
            while (!stopped_) {
                const auto all = std::exchange(confirmed_, {});
                lock.unlock();
                for (const auto& confirmed : all) confirmed();
                std::this_thread::sleep_for(1ms);
                lock.lock();
            }
        }};
    }

private:
    void stop() {
        {
            const std::lock_guard lock{mutex_};
            stopped_ = true;
        }
        if (thread_.joinable()) thread_.join();
    }

    std::mutex mutex_{};
    bool is_connected_ = false, stopped_ = false;
    std::vector<std::function<void()>> confirmed_{};
    std::thread thread_{};
};

int main() {
    auto journal = posix::Journal::open("messages", {.flush = Flush::group});
    if (!journal) return std::puts(journal.error().message().c_str()), 1;
    // excerpt: begin
    posix::Loop loop;  // before the client, whose thread posts to it
    Client client;
    // The client calls back on its own thread, and the spool belongs to the loop's.
    Spool spool{*journal, [&](std::uint64_t, BytesView message, auto confirmed) {
                    return client.publish(std::string{as_text(message)}, [&, confirmed] { static_cast<void>(loop.post(confirmed)); });
                }};
    std::function<void()> again = [&] { spool.send(), loop.after(2s, std::ref(again)); };
    loop.after(2s, std::ref(again));
    // excerpt: end
    for (const char* const message : {"door open", "door closed"}) {
        if (journal->append(as_bytes(message)).error()) return 1;
    }
    if (journal->commit()) return 1;
    spool.send();  // the broker is away: they stay in the journal
    // excerpt: begin
    client.connect([&] { static_cast<void>(loop.post([&] { spool.connected(); })); });
    // excerpt: end
    loop.run_until([&] { return journal->size() == 0; }, 1min);
    std::printf("%d left\n", static_cast<int>(journal->size()));
}
