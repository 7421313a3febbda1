// SPDX-License-Identifier: MIT
// The ten lines of the README, in a program that compiles. session.cpp is one that runs.
#include <cstdio>
#include <string>

#include <belay/belay.hpp>
#include <belay/posix.hpp>
#include <belay/session.hpp>

using namespace belay;  // in examples only
using namespace std::chrono_literals;

namespace {

struct App {
    void on_accepted(auto&, std::uint64_t up_to) {
        std::printf("durable: %llu\n", static_cast<unsigned long long>(up_to));
    }
};

int fail(const std::string& why) {
    std::printf("%s\n", why.c_str());
    return 1;
}

int deliver(const posix::Endpoint& server, const Id& my_id, BytesView operation) {
    posix::Loop loop;
    auto journal = posix::Journal::open("outbox", {.flush = Flush::group});
    if (!journal) return fail(journal.error().message());
    Policy policy{Backoff{FullJitter{}, Cap{30s}, 1s}, ResetWhenStable{10s}};
    Session session{posix::Tcp{loop, server}, policy, Queue{std::move(journal).value()},
                    SessionOptions{.id = my_id}, App{}};
    loop.attach(session);
    session.start();
    auto number = session.send(operation);
    // App::on_accepted(number): it is durable, and will be delivered, once, in order.
    loop.run();
    return number ? 0 : 1;
}

}  // namespace

int main(int count, char** words) {
    if (count != 2) return fail("usage: ten_lines TEXT");
    return deliver({"127.0.0.1", 9000}, Id{std::byte{1}}, as_bytes(words[1]));
}
