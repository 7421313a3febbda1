// SPDX-License-Identifier: MIT
/// \file belay/asio/detail/resolver.hpp
/// AsioResolver: the resolver of a context, with which transports over asio look up names.
#pragma once

#include <memory>        // std::make_shared
#include <string>        // std::string
#include <system_error>  // std::make_error_code
#include <utility>       // std::move

#include <belay/asio/detail/asio_of.hpp>
#include <belay/posix/resolver_like.hpp>
#if !defined(_WIN32)
#    include <belay/posix/resolver.hpp>
#endif

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Looks up names by asio, which has one thread for all names of a context, and joins it when the
/// context ends.
///
/// Models:        ResolverLike.
/// Thread safety: the thread that runs the context.
template <class Context>
class AsioSystemResolver {
    using Asio = AsioOf<Context>;
    using Tcp = typename Asio::Tcp;

public:
    explicit AsioSystemResolver(Context& context) noexcept : context_{context} {}

    /// Throws: std::bad_alloc, and what asio throws.
    void look_up(const std::string& host, Completion<posix::HostAddresses> done) {
        const auto resolver = std::make_shared<typename Tcp::resolver>(context_);
        resolver->async_resolve(
            host, "0", Tcp::resolver::numeric_service,
            [resolver, kept = std::move(done)](const typename Asio::Error& error,
                                               const auto& found) mutable {
                posix::HostAddresses addresses;
                if (error) {
                    // An unknown name may become known later.
                    addresses.error = Asio::unresolved(error)
                                          ? std::make_error_code(std::errc::host_unreachable)
                                          : Asio::standard(error);
                }
                for (auto at = found.begin(); at != found.end(); ++at) {
                    addresses.addresses.push_back(at->endpoint().address().to_string());
                }
                kept(std::move(addresses));
            });
    }

private:
    Context& context_;
};

template <class Context>
using AsioService = typename AsioOf<Context>::ExecutionContext::service;

/// The resolver of a context. It ends with the context, and waits for no look-up.
template <class Context>
class AsioResolver : public AsioService<Context> {
    using Execution = typename AsioOf<Context>::ExecutionContext;

public:
    inline static typename Execution::id id{};  // asio's key of the service

    explicit AsioResolver(Execution& context) : Execution::service{context} {}

    [[nodiscard]] static posix::ResolverRef of(Context& context) {
        return use_service<AsioResolver>(static_cast<Execution&>(context)).resolver_;
    }

private:
    void shutdown() override {}

#if defined(_WIN32)
    AsioSystemResolver<Context> resolver_{static_cast<Context&>(this->context())};
#else
    posix::Resolver resolver_{};
#endif
};

}}}  // namespace belay::detail
