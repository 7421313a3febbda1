// SPDX-License-Identifier: MIT
/// \file belay/posix/replica_listener.hpp
/// posix::ReplicaListener: serves the devices of a SyncProcessor over sockets.
#pragma once

#include <cstddef>       // std::size_t
#include <functional>    // std::ref, std::reference_wrapper
#include <list>          // std::list
#include <system_error>  // std::error_code
#include <utility>       // std::move

#include <belay/link/heartbeat.hpp>
#include <belay/link/supervisor.hpp>
#include <belay/policy/max_attempts.hpp>
#include <belay/posix/listener.hpp>
#include <belay/sync/replica_server.hpp>
#include <belay/sync/sync_messages.hpp>

namespace belay { inline namespace BELAY_ABI { namespace posix {

/// Options of a ReplicaListener.
struct ReplicaListenerOptions {
    /// The maximum number of connected devices. A connection above it is closed at once.
    std::size_t devices_max = 1000;
    /// How it detects devices that are silent or gone.
    HeartbeatOptions heartbeat{};
    part::ReplicaServerOptions answers{};
    ListenerOptions listener{};
};

/// Serves devices that have a Replica and a part::ReplicaLink.
///
///     SyncProcessor processor{std::ref(store), LastWriteWins{}};
///     posix::ReplicaListener server{loop, processor, NoteCodec{}};
///     if (auto error = server.listen({"0.0.0.0", 9000})) return error;
///     loop.run();
///
/// It answers the questions of each device, and sends the other devices a notice when one of them
/// has changed something. It does not authenticate a device, and each may use each session. A
/// server that must check users has a Listener and a part::ReplicaServer; see docs/replica.md.
///
/// Thread safety: the loop's thread.
/// Throws:        an exception of the processor or of the codec leaves the loop's run(), and the
///                device asks again.
template <class Processor, CodecLike Codec, class TheLoop = Loop<>>
class ReplicaListener {
    struct Devices;

public:
    /// Pre: the loop and the processor outlive it.
    ReplicaListener(TheLoop& loop, Processor& processor, Codec codec,
                    ReplicaListenerOptions options = {})
        : devices_{loop, processor, std::move(codec), options},
          listener_{loop, Accept{&devices_}, options.listener} {}
    ReplicaListener(const ReplicaListener&) = delete;
    ReplicaListener& operator=(const ReplicaListener&) = delete;
    ~ReplicaListener() = default;

    /// Starts to listen at an Endpoint or a UnixPath.   Errors: as Listener::listen.
    template <class Where = Endpoint>
    [[nodiscard]] std::error_code listen(const Where& where) {
        return listener_.listen(where);
    }
    /// Returns the port on which it listens; see Listener::port.
    [[nodiscard]] std::uint16_t port() const noexcept { return listener_.port(); }
    /// Returns the number of connected devices.
    [[nodiscard]] std::size_t devices() const noexcept { return devices_.all.size(); }
    /// Sends each device a notice. Call it after you have changed the store without a device.
    void notify() { devices_.notify(nullptr); }

private:
    /// The observer of each connection.
    struct Devices {
        using Transport = Heartbeat<Accepted<>>;
        using Device = Supervisor<Transport, MaxAttempts, std::reference_wrapper<Devices>>;

        Devices(TheLoop& of, Processor& processor, Codec codec,
                const ReplicaListenerOptions& chosen)
            : loop{of}, options{chosen}, server{processor, std::move(codec), chosen.answers} {}

        void accept(Accepted<> accepted) {
            if (all.size() >= options.devices_max) return;
            Device& device = all.emplace_back(Transport{std::move(accepted), options.heartbeat},
                                              MaxAttempts{1}, std::ref(*this));
            loop.attach(device);
            device.start();
        }
        void on_message(Device& from, const Bytes& question) {
            const auto answer = server.answer(question);
            // A device whose connection takes no answer asks again.
            static_cast<void>(from.send(answer.bytes));
            if (answer.changed) notify(&from);
        }
        void on_state(Device& of, const Transition& change) {
            if (change.from != LinkState::connected) return;
            all.remove_if([&](const Device& one) { return &one == &of; });
        }
        void notify(const Device* except) {
            for (Device& one : all) {
                if (&one != except) static_cast<void>(one.send(part::SyncMessages::notice()));
            }
        }

        TheLoop& loop;
        ReplicaListenerOptions options;
        part::ReplicaServer<Processor, Codec> server;
        std::list<Device> all{};
    };
    struct Accept {
        Devices* devices;
        void operator()(Accepted<> accepted) const { devices->accept(std::move(accepted)); }
    };

    Devices devices_;
    Listener<Accept> listener_;
};

}}}  // namespace belay::posix
