// SPDX-License-Identifier: MIT
#include <cstdio>
#include <string>

#include <belay/metrics.hpp>

// excerpt: begin
namespace shop {

struct Cart {
    std::uint64_t orders = 0;
};

template <class Visitor>
void visit_metrics(const Cart& cart, Visitor&& visitor) {
    visitor(belay::metrics::Metric{.part = "cart", .name = "orders", .help = "Orders placed.", .value = cart.orders});
}

}  // namespace shop
// excerpt: end

int main() {
    // excerpt: begin
    belay::metrics::Page page;
    page.add("eu", shop::Cart{.orders = 3});
    std::string text;
    belay::to_prometheus(text, page);
    // excerpt: end
    std::fputs(text.c_str(), stdout);
}
