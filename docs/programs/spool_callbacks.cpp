// SPDX-License-Identifier: MIT
#include <cstdio>
#include <functional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <belay/posix.hpp>
using namespace belay;

/// Call all functions on one thread. If your client reports on a thread of its own, post to your loop.
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

struct Client {  // stands for yours
    bool publish(std::uint64_t number, std::string message, std::function<void()> confirmed) {
        if (!is_connected) return false;
        std::printf("published %d: %s\n", static_cast<int>(number), message.c_str());
        callbacks.push_back(std::move(confirmed));
        return true;
    }
    bool is_connected = false;
    std::vector<std::function<void()>> callbacks{};
};

int main() {
    auto journal = posix::Journal::open("messages", {.flush = Flush::group});
    if (!journal) return std::puts(journal.error().message().c_str()), 1;
    Client client;
    Spool spool{*journal, [&](std::uint64_t number, BytesView message, auto confirmed) {
                    return client.publish(number, std::string{as_text(message)}, confirmed);
                }};
    for (const char* const message : {"door open", "door closed"}) {
        if (journal->append(as_bytes(message)).error()) return 1;
    }
    if (journal->commit()) return 1;
    spool.send();  // the broker is away: they stay in the journal
    client.is_connected = true;
    spool.connected();
    for (const auto& confirmed : std::exchange(client.callbacks, {})) confirmed();
    std::printf("%d left\n", static_cast<int>(journal->size()));
}
