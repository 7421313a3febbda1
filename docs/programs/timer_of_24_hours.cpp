// SPDX-License-Identifier: MIT
#include <chrono>
#include <cstdio>
#include <functional>

#include <asio.hpp>
#include <belay/asio/standalone.hpp>  // or <belay/asio/boost.hpp>
#include <belay/asio_sim/net.hpp>
#include <belay/sim.hpp>
using namespace std::chrono_literals;

// excerpt: begin
template <class Net>
struct Renewal {  // your code: calls `renew` every 24 hours
    typename Net::steady_timer timer;
    std::function<void()> renew;

    void start() {
        timer.expires_after(24h);
        timer.async_wait([this](std::error_code error) {
            if (error) return;
            renew();
            start();
        });
    }
};
// excerpt: end

using SimNet = belay::sim::AsioNet<asio::io_context>;

int main() {
    // excerpt: begin
    int renewals = 0;
    belay::sim::World world{belay::Seed{1}};
    belay::sim::Host& host = world.host("client");
    SimNet::io_context context{host};
    Renewal<SimNet> renewal{SimNet::steady_timer{context}, [&] { ++renewals; }};
    renewal.start();
    // excerpt: end
    world.run_for(24h - 1ns);
    std::printf("%d before 24 h, ", renewals);
    world.run_for(1ns);
    std::printf("%d after 24 h\n", renewals);
}
