// SPDX-License-Identifier: MIT
// A client announces an order on one connection, and sends its item on another 20 ms later. That
// works until one of the two connections is slower.
#include "programs.hpp"

namespace bugs {
namespace {

struct Orders {
    int items = 0;
    bool has_unknown = false;
};

void take_orders(Orders& orders) {
    std::set<std::string> known;
    serve_lines(listen_at(9000), [&](Guest&, const std::string& line) {
        const std::string number = line.substr(1);
        if (line[0] == 'o') {
            known.insert(number);
        } else {
            ++orders.items;
            orders.has_unknown = orders.has_unknown || known.count(number) == 0;
        }
        return "taken";
    });
}
void order(bool mended) {
    auto number = steady_now().time_since_epoch().count();  // other ones after a restart
    keep_connected("server", 9000, [&](int announcements) {
        const int items = dial("server", 9000);
        std::string answer;
        while (items >= 0) {
            const std::string name = std::to_string(++number) + "\n";
            if (!put(announcements, "o" + name)) break;
            if (mended && !get_line(announcements, answer)) break;
            rest(20ms);
            if (!put(items, "i" + name) || !get_line(items, answer)) break;
            if (!mended && !get_line(announcements, answer)) break;
        }
        if (items >= 0) close(items);
        return false;
    });
}

}  // namespace

bool order_across_connections(sim::World& world, bool mended) {
    Orders& orders = world.make<Orders>();
    run_program(world, "server", [&orders] { take_orders(orders); });
    run_program(world, "client", [mended] { order(mended); });
    world.never("an item has no order", [&] { return orders.has_unknown; });
    world.run_for(4s);
    world.heal();
    return world.eventually("items arrive", 60s,
                            [&, old = orders.items] { return orders.items > old; });
}

}  // namespace bugs
