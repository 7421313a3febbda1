// SPDX-License-Identifier: MIT
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <asio.hpp>

#include <belay/belay.hpp>
#include <belay/call_coroutines.hpp>
using namespace belay;
using namespace std::chrono_literals;
using asio::awaitable, asio::use_awaitable, asio::ip::tcp;

// excerpt: begin
struct AsioSleeper {  // waits on the executor; a cancellation ends the wait with an exception, as asio does
    asio::any_io_executor executor;
    Random random{Seed{entropy()}};

    Instant now() const noexcept { return SteadyClock{}.now(); }
    Random& bits() noexcept { return random; }
    awaitable<void> async_sleep_until(Instant until, StopTokenLike auto) {
        asio::steady_timer timer{executor, until};
        co_await timer.async_wait(use_awaitable);
    }
};
// excerpt: end

// excerpt: begin
/// Asks the server for one line, until attempt.deadline.
awaitable<Result<std::string>> ask(tcp::endpoint server, Attempt attempt) {
    // Shared, because the handler of the timer may run after this coroutine has ended.
    const auto socket = std::make_shared<tcp::socket>(co_await asio::this_coro::executor);
    asio::steady_timer limit{socket->get_executor(), attempt.deadline};
    limit.async_wait([socket](const asio::error_code& error) {
        asio::error_code ignored;
        if (!error) socket->close(ignored);
    });
    asio::error_code error;
    std::string line;
    co_await socket->async_connect(server, asio::redirect_error(use_awaitable, error));
    if (!error) co_await asio::async_read_until(*socket, asio::dynamic_buffer(line), '\n', asio::redirect_error(use_awaitable, error));
    limit.cancel();
    if (error) co_return error == asio::error::operation_aborted ? make_error_code(std::errc::timed_out) : error;
    line.pop_back();
    co_return line;
}
// excerpt: end

awaitable<void> serve(tcp::acceptor& acceptor) {  // does not answer the first call
    std::vector<tcp::socket> silent;
    for (;;) {
        tcp::socket client = co_await acceptor.async_accept(use_awaitable);
        if (!silent.empty()) co_await asio::async_write(client, asio::buffer("hello\n", 6), use_awaitable);
        silent.push_back(std::move(client));
    }
}

int main() {
    asio::io_context context;
    tcp::acceptor acceptor{context, {asio::ip::address_v4::loopback(), 0}};
    asio::co_spawn(context, serve(acceptor), asio::detached);
    AsioSleeper sleeper{context.get_executor()};
    TokenBudget budget{TokenBudgetOptions::grpc(10, 100)};  // one for all calls of this server
    // excerpt: begin
    const Policy policy{Backoff{FullJitter{}, Cap{5s}, 100ms}, Shared{budget}, AttemptTimeout{200ms}, MaxAttempts{5}};
    int attempts = 0;
    const auto call = [&](const tcp::endpoint server) -> awaitable<std::string> {
        const auto line = co_await retry(policy, sleeper, [&](Attempt attempt) { return ++attempts, ask(server, attempt); });
        co_return line ? *line : line.error().message();
    };
    // excerpt: end
    asio::co_spawn(context, call(acceptor.local_endpoint()), [&](std::exception_ptr, std::string text) {
        std::printf("%s after %d attempts\n", text.c_str(), attempts);
        context.stop();
    });
    context.run();
    context.restart();

    // A cancellation ends the call, in an attempt or in a wait, and with it all retries.
    asio::cancellation_signal cancel;
    const tcp::endpoint nobody{asio::ip::address_v4::loopback(), 1};
    asio::co_spawn(context, call(nobody), asio::bind_cancellation_slot(cancel.slot(), [&](std::exception_ptr error, std::string) {
                       std::printf("%s\n", error ? "cancelled" : "ended");
                       context.stop();
                   }));
    asio::post(context, [&] { cancel.emit(asio::cancellation_type::terminal); });
    context.run();
}
