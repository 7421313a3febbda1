// SPDX-License-Identifier: MIT
// Redis pub/sub over belay's TCP: the protocol is a framing of thirty lines. Prints what is published
// until "end" is.   example_redis_subscriber PORT CHANNEL
#include <cstdio>
#include <cstdlib>

#include <belay/belay.hpp>
#include <belay/posix.hpp>
using namespace belay;  // in examples only
using namespace std::chrono_literals;

struct Resp {  // RESP2: "+text", "-error", ":number", "$length", "*count", each with "\r\n"
    static part::Cut cut(BytesView bytes, const part::CutHints&) noexcept {
        std::size_t at = 0;
        if (bytes.size() > 1'000'000) return part::Cut::garbage();
        for (long parts = 1; parts > 0; --parts) {
            const std::size_t end = as_text(bytes).find("\r\n", at);
            if (end == std::string_view::npos) return part::Cut::more();
            const char kind = as_text(bytes)[at];
            const long number = std::atol(as_text(bytes).data() + at + 1);  // "\r\n" ends it
            at = end + 2;
            if (number > 1'000'000) return part::Cut::garbage();
            if (kind == '*' && number > 0) parts += number;
            if (kind == '$' && number >= 0) at += static_cast<std::size_t>(number) + 2;
            if (at > bytes.size()) return part::Cut::more(at);
        }
        return part::Cut::message(at, bytes.first(at));
    }
    static bool put(BytesView command, Bytes& out) {  // a line, as one would type it
        out.insert(out.end(), command.begin(), command.end());
        return out.insert(out.end(), {std::byte{'\r'}, std::byte{'\n'}}), true;
    }
    static void put_ping(Bytes& out) { put(as_bytes("PING"), out); }
};

struct App {
    std::string subscribe;
    void on_state(auto& link, const Transition& change) {
        if (change.to.state != LinkState::connected) return;
        static_cast<void>(link.send(subscribe));
    }
    void on_message(auto& link, const Bytes& reply) {
        std::printf("%s", std::string{as_text(reply)}.c_str()), std::fflush(stdout);
        if (as_text(reply).ends_with("\r\nend\r\n")) link.stop();
    }
};

int main(int count, char** arguments) {
    if (count != 3) return 2;
    posix::Loop loop;
    const posix::Endpoint server{"127.0.0.1", static_cast<std::uint16_t>(std::atoi(arguments[1]))};
    Heartbeat redis{posix::Tcp{loop, server, Resp{}}, {.every = 1s, .dead_after = 3s}};
    App app{std::string{"SUBSCRIBE "} + arguments[2]};
    Supervisor link{std::move(redis), Policy{Backoff{FullJitter{}, Cap{1s}, 10ms}}, app};
    loop.attach(link);
    link.start();
    loop.run_until([&] { return link.status().state == LinkState::stopped; });
}
