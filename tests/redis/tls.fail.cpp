// SPDX-License-Identifier: MIT
// expect-error: needs hiredis/hiredis_ssl.h, or use stunnel: docs/how-to/several-servers.md
#if !defined(BELAY_CONTROL)
#    include <belay/redis/tls.hpp>
#endif
