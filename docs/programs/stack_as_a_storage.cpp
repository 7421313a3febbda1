// SPDX-License-Identifier: MIT
#include <array>
#include <cstdio>

#include <belay/queue.hpp>
#include <belay/queue/storage_check.hpp>
using namespace belay;

struct Stack {  // a storage must give the oldest first
    using value_type = int;

    // excerpt: begin
    std::error_code try_push(int&& value) noexcept {
        if (count == held.size()) return QueueErrc::queue_full;
        held[count++] = value;
        return {};
    }
    // excerpt: end
    // excerpt: begin
    std::optional<int> try_pop() noexcept {
        if (count == 0) return std::nullopt;
        return held[--count];
    }
    // excerpt: end
    std::size_t size() const noexcept { return count; }
    std::size_t capacity() const noexcept { return held.size(); }

    std::array<int, 8> held{};
    std::size_t count = 0;
};

int main() {
    // excerpt: begin
    const auto fault = check::storage([] { return Stack{}; }, [](auto i) { return static_cast<int>(i); });
    if (fault) std::puts(to_string(fault->rule));
    // excerpt: end
}
