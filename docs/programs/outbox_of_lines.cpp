// SPDX-License-Identifier: MIT
#include <cstdint>
#include <cstdio>
#include <functional>
#include <optional>

#include <belay/belay.hpp>
#include <belay/posix.hpp>
#include <belay/session.hpp>
using namespace belay;
using namespace std::chrono_literals;

// excerpt: begin
struct App {  // the server answers in order, so each answer is for the first line in flight
    void on_message(auto& outbox, const Bytes& answer) {
        std::printf("answer: %s\n", std::string{as_text(answer)}.c_str());
        if (outbox.acknowledge()) std::printf("an answer to no line\n");
        ++answers;
    }
    std::uint64_t answers = 0;
};
// excerpt: end

struct Server {  // usually another program
    void on_message(auto& link, const Bytes& line) { static_cast<void>(link.send(line)); }
};

int main() {
    posix::Loop loop;
    std::optional<Supervisor<posix::Accepted<Lines>, MaxAttempts, Server>> served;
    const auto serve = [&](posix::Accepted<Lines> accepted) {
        served.emplace(std::move(accepted), MaxAttempts{1}, Server{});
        loop.attach(*served);
        served->start();
    };
    posix::Listener listener{loop, serve, Lines{}};
    if (listener.listen({"127.0.0.1", 0})) return 1;

    // excerpt: begin
    auto journal = posix::Journal::open("outbox");
    if (!journal) return std::puts(journal.error().message().c_str()), 1;
    App app;
    Outbox outbox{
        posix::Tcp{loop, {"127.0.0.1", listener.port()}, Lines{}}, Policy{Backoff{FullJitter{}, Cap{30s}, 1s}, ResetWhenStable{10s}},
        Queue{std::move(*journal), Reject{}, {.limit = 10'000}}, OutboxOptions{.promise = OutboxOptions::at_least_once}, std::ref(app)};
    loop.attach(outbox);
    if (outbox.push("tea") || outbox.push("milk") || outbox.commit()) return 1;  // durable, before there is a connection
    outbox.start();

    std::function<void()> watch = [&, seen = std::uint64_t{0}, waited = false]() mutable {
        const bool waits = outbox.depth() != 0 && app.answers == seen;
        if (waits && waited) outbox.report_unhealthy();  // no answer for 15 s: the server may be frozen
        waited = waits, seen = app.answers;
        loop.after(15s, std::ref(watch));
    };
    loop.after(15s, std::ref(watch));
    // excerpt: end
    return loop.run_until([&] { return outbox.depth() == 0; }, 10s) ? 0 : 1;
}
