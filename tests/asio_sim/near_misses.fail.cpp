// SPDX-License-Identifier: MIT
// Goal: misuse of this component does not compile, and the error states the reason. Method: each
// case, from one expect-error to the next, has an error of that text; with BELAY_CONTROL all of
// them compile.
#include <belay/asio_sim/net.hpp>

#include <belay/asio/boost.hpp>

#include <boost/asio/io_context.hpp>

// expect-error: sim::AsioNet: steady_timer::wait blocks
namespace wait_for_a_timer {
using Net = belay::sim::AsioNet<boost::asio::io_context>;
void use(Net::steady_timer& timer) {
#if defined(BELAY_CONTROL)
    timer.async_wait([](boost::system::error_code) {});
#else
    timer.wait();
#endif
}
}  // namespace wait_for_a_timer

// expect-error: sim::AsioNet: steady_timer::wait blocks
namespace wait_for_a_timer_with_an_error_code {
using Net = belay::sim::AsioNet<boost::asio::io_context>;
void use(Net::steady_timer& timer, boost::system::error_code error) {
#if defined(BELAY_CONTROL)
    timer.async_wait([&](boost::system::error_code e) { error = e; });
#else
    timer.wait(error);
#endif
}
}  // namespace wait_for_a_timer_with_an_error_code
