// SPDX-License-Identifier: MIT
// A lease holds for 1 s since the server has received a ping. The client counts 1 s since its last
// ping at any pong, also at the late pong of an earlier ping. So it holds the lease for too long.
#include <algorithm>
#include <vector>

#include "bugs.hpp"
#include "counter.hpp"

namespace bugs {
namespace {

struct Lease {
    Instant of_client{};  ///< until when the client counts on it
    Instant of_server{};  ///< until when the server gives it to no one else
};

class Holder {
public:
    Holder(sim::Host& host, Lease& lease, bool mended)
        : host_{host},
          lease_{lease},
          mended_{mended},
          link_{sim::Tcp{host, "server", 9000}, patience({}), *this} {
        host.attach(link_);
        link_.start();
        tick();
    }
    void on_message(const Bytes& pong) {
        const std::uint64_t number = mended_ ? number_in(pong) : sent_at_.size();
        const Instant end = after(sent_at_[static_cast<std::size_t>(number - 1)], 1s);
        lease_.of_client = std::max(lease_.of_client, end);
    }

private:
    void tick() {
        sent_at_.push_back(host_.now());
        static_cast<void>(link_.send(std::to_string(sent_at_.size())));
        host_.after(200ms, [this] { tick(); });
    }

    sim::Host& host_;
    Lease& lease_;
    bool mended_;
    std::vector<Instant> sent_at_;  // of each ping
    Supervisor<sim::Tcp, decltype(patience({})), std::reference_wrapper<Holder>> link_;
};

struct Lender {
    bool take(std::uint64_t) {
        lease.of_server = after(host.now(), 1s);
        return true;
    }
    sim::Host& host;
    Lease& lease;
};

}  // namespace

bool stale_pong(sim::World& world, bool mended) {
    auto& lease = world.make<Lease>();
    world.host("server", [&lease](sim::Host& host) {
        return std::make_unique<Server<Lender>>(host, Lender{host, lease});
    });
    world.host("client", [&lease, mended](sim::Host& host) {
        return std::make_unique<Holder>(host, lease, mended);
    });
    world.always("the server keeps the lease for as long as the client",
                 [&lease] { return lease.of_client <= lease.of_server; });
    world.run_for(5s);
    world.heal();
    return world.eventually("the client has the lease", 60s,
                            [&] { return lease.of_client > world.now(); });
}

}  // namespace bugs
