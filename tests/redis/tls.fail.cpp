// SPDX-License-Identifier: MIT
// expect-error: needs hiredis/hiredis_ssl.h here; else use stunnel: see docs/several-servers.md
#if !defined(BELAY_CONTROL)
#    include <belay/redis/tls.hpp>
#endif
