// SPDX-License-Identifier: MIT
/// \file tests/support/worlds/front.hpp
/// Front: a process that passes connections on to a server, as a load balancer does.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <belay/link/supervisor.hpp>
#include <belay/policy/rules.hpp>
#include <belay/sim/accepted.hpp>
#include <belay/sim/tcp.hpp>

namespace belay_test {

/// Accepts connections on port 1, and dials port 1 of a server for each. If one end of such a pair
/// closes, it closes the other.
class Front {
public:
    Front(belay::sim::Host& host, std::string server) : host_{host}, server_{std::move(server)} {
        host.listen(1, [this](belay::sim::Accepted connection) {
            std::erase_if(pairs_, [](const auto& pair) { return pair->over(); });
            pairs_.push_back(std::make_unique<Pair>(host_, server_, std::move(connection)));
        });
    }

private:
    class Pair {
    public:
        Pair(belay::sim::Host& host, const std::string& server, belay::sim::Accepted connection)
            : client_{std::move(connection), belay::MaxAttempts{1}, {}, End<true>{this}},
              server_{
                  belay::sim::Tcp{host, server, 1}, belay::MaxAttempts{1}, {}, End<false>{this}} {
            host.attach(client_);
            host.attach(server_);
            client_.start();
            server_.start();
        }
        [[nodiscard]] bool over() const {
            return ended(client_.status().state) && ended(server_.status().state);
        }

    private:
        template <bool from_client>
        struct End {
            Pair* pair;
            void on_message(belay::Bytes message) {
                auto& waiting = from_client ? pair->to_server_ : pair->to_client_;
                waiting.push_back(std::move(message));
                pair->pump();
            }
            void on_writable(belay::Lane) { pair->pump(); }
            void on_state(const belay::Transition& change) {
                if (change.to.state == belay::LinkState::connected) pair->pump();
                if (!ended(change.to.state)) return;
                if constexpr (from_client) {
                    pair->server_.stop();
                } else {
                    pair->client_.stop();
                }
            }
        };
        static bool ended(belay::LinkState state) {
            return state == belay::LinkState::failed || state == belay::LinkState::stopped;
        }
        void pump() {
            move(to_server_, server_);
            move(to_client_, client_);
        }
        static void move(std::deque<belay::Bytes>& waiting, auto& link) {
            while (!waiting.empty() && link.send(waiting.front()) == belay::SendResult::sent) {
                waiting.pop_front();
            }
        }

        std::deque<belay::Bytes> to_server_{};
        std::deque<belay::Bytes> to_client_{};
        belay::Supervisor<belay::sim::Accepted, belay::MaxAttempts, End<true>> client_;
        belay::Supervisor<belay::sim::Tcp, belay::MaxAttempts, End<false>> server_;
    };

    belay::sim::Host& host_;
    std::string server_;
    std::vector<std::unique_ptr<Pair>> pairs_{};
};

}  // namespace belay_test
