// SPDX-License-Identifier: MIT
// A Redis client over belay's TCP: commands with deadlines, answered in order. Counts visits until
// a client sets the key "end".   example_redis_client PORT
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>

#include <belay/belay.hpp>
#include <belay/call_coroutines.hpp>
#include <belay/drive.hpp>
#include <belay/link/requests.hpp>
#include <belay/posix.hpp>
using namespace belay;  // in examples only
using namespace std::chrono_literals;

/// RESP2: "+text", "-error", ":number", "$length", "*count", each with "\r\n".
struct Resp {
    static part::Cut cut(BytesView bytes, const part::CutHints&) noexcept {
        constexpr std::size_t bytes_max = 1'000'000;
        const std::string_view text = as_text(bytes);
        if (text.size() > bytes_max) return part::Cut::garbage();
        std::size_t at = 0;
        for (long parts = 1; parts > 0; --parts) {
            const std::size_t end = text.find("\r\n", at);
            if (end == std::string_view::npos) return part::Cut::more();
            long number = 0;
            const char kind = text[at];
            const bool has_number = kind == '*' || kind == '$';
            std::from_chars(text.data() + at + 1, text.data() + end, number);
            at = end + 2;
            if (has_number && number > static_cast<long>(bytes_max)) return part::Cut::garbage();
            if (kind == '*' && number > 0) parts += number;
            if (kind == '$' && number >= 0) at += static_cast<std::size_t>(number) + 2;
            if (at > text.size()) return part::Cut::more(at);
        }
        return part::Cut::message(at, bytes.first(at));
    }
    static bool put(BytesView command, Bytes& out) {  // as `command` has made it
        return out.insert(out.end(), command.begin(), command.end()), true;
    }
};

/// A command as Redis reads it: an array of texts, which may have any content.
Bytes command(std::initializer_list<std::string_view> words) {
    std::string text = '*' + std::to_string(words.size()) + "\r\n";
    for (const std::string_view word : words) {
        text += '$' + std::to_string(word.size()) + "\r\n";
        text.append(word) += "\r\n";
    }
    return to_bytes(text);
}

/// Writes each change of the connection.
struct App {
    void on_state(const Transition& change) {
        const bool is_up = change.to.state == LinkState::connected;
        if (is_up) std::printf("connected\n");
        if (!is_up && change.from == LinkState::connected) {
            std::printf("disconnected: %s\n", change.to.failure.message().c_str());
        }
        std::fflush(stdout);
    }
};

/// A counter must not be counted twice, so this question is not sent again after a loss. The one
/// whether to end may be.
Task<bool> count_visits(auto& redis, auto sleeper) {
    const Bytes count_one = command({"INCR", "visits"});
    const Bytes is_end = command({"EXISTS", "end"});
    for (;;) {
        const auto visits = co_await redis.ask(count_one, 300ms);
        const std::string line = visits ? std::string{as_text(*visits)} : visits.error().message();
        std::printf("visits %s\n", line.substr(0, line.find('\r')).c_str());
        std::fflush(stdout);
        const auto end = co_await redis.ask(is_end, 1s, RequestsOptions::send_again);
        if (end && as_text(*end) == ":1\r\n") co_return true;
        co_await sleeper.async_sleep_until(sleeper.now() + 20ms);
    }
}

int main(int count, char** arguments) {
    if (count != 2) return 2;
    posix::Loop loop;
    const posix::Endpoint server{"127.0.0.1", static_cast<std::uint16_t>(std::atoi(arguments[1]))};
    Requests redis{posix::Tcp{loop, server, Resp{}},
                   Policy{Backoff{FullJitter{}, Cap{500ms}, 10ms}, ResetWhenStable{10s}},
                   part::InOrder{}, App{}};
    loop.attach(redis);
    redis.start();
    Task<bool> visits = count_visits(redis, LoopSleeper{loop});
    visits.start();
    return loop.run_until([&] { return visits.done(); }, 60s) ? 0 : 1;
}
