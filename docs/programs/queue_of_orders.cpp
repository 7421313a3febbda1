// SPDX-License-Identifier: MIT
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>

#include <belay/posix.hpp>
#include <belay/queue.hpp>
using namespace belay;

struct Order {
    std::uint32_t number;
    std::string text;
};

// excerpt: begin
struct OrderCodec {  // version 1: a byte of version, the number, the text
    bool encode(const Order& order, Bytes& into) {
        into.resize(5);
        into[0] = std::byte{1};
        store_le(into.data() + 1, order.number);
        const BytesView text = as_bytes(order.text);
        into.insert(into.end(), text.begin(), text.end());
        return true;
    }
    std::optional<Order> decode(BytesView bytes) {
        if (bytes.size() < 5 || bytes[0] != std::byte{1}) return std::nullopt;  // of another version, or damaged
        return Order{load_le<std::uint32_t>(bytes.data() + 1), std::string{as_text(bytes.subspan(5))}};
    }
};
// excerpt: end

int main() {
    auto journal = posix::Journal::open("orders");
    auto dead = posix::Journal::open("orders-dead");
    if (!journal || !dead) return std::puts((journal ? dead : journal).error().message().c_str()), 1;
    // excerpt: begin
    Queue orders{Encoded{std::move(*journal), OrderCodec{}, std::move(*dead)}, QueueOptions{.limit = 10'000}};

    if (orders.push(Order{7, "tea"}) || orders.push(Order{8, "milk"}) || orders.flush()) return 1;  // both are durable
    // excerpt: end

    const auto [shipped, error] = orders.drain([](const Order& order) {
        std::printf("%d: %s\n", static_cast<int>(order.number), order.text.c_str());
        return true;  // only after the work is done; false: it stays the first
    });
    if (error || orders.flush()) return 1;  // the removals are durable, too
    auto& letters = orders.storage().dead_letters();
    while (const auto letter = letters.try_pop()) std::printf("%d bytes of no order\n", static_cast<int>(letter->size()));
    return shipped == 2 ? 0 : 1;
}
