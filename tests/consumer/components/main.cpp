// SPDX-License-Identifier: MIT
// Two bindings, each over the library of its component.
#include <belay/curl/http.hpp>
#include <belay/posix.hpp>
#include <belay/queue.hpp>
#include <belay/sqlite/storage.hpp>

#include <cstdio>

bool keeps_an_operation() {
    auto storage = belay::sqlite::Storage::open("outbox.db");
    if (!storage) return std::printf("%s\n", storage.error().message().c_str()), false;
    belay::Queue queue{std::move(*storage)};
    if (queue.push(belay::as_bytes("operation"))) return false;
    return queue.drain([](belay::BytesView) { return true; }).drained == 1;
}

// No server listens on port 1.
bool reports_a_refused_connection() {
    belay::posix::Loop loop;
    belay::curl::Http http{loop};
    bool refused = false;
    const auto handle =
        http.request({.url = "http://127.0.0.1:1/"}, [&](const auto& response) noexcept {
            refused = response && response->failure.cause == belay::Cause::refused;
            loop.stop();
        });
    loop.run();
    return refused;
}

int main() {
    const bool right = keeps_an_operation() && reports_a_refused_connection();
    std::puts(right ? "both work" : "one does not work");
    return right ? 0 : 1;
}
