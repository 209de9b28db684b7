#pragma once
#include <zlib.h>

// Raw deflate, as RFC 7692 wants it: a negative window leaves out zlib's header and checksum. The originals are macros.
static inline int czlib_deflate_init(z_stream *stream, int level) {
    return deflateInit2(stream, level, Z_DEFLATED, -MAX_WBITS, MAX_MEM_LEVEL - 1, Z_DEFAULT_STRATEGY);
}

// With gzip's header and checksum.
static inline int czlib_gzip_init(z_stream *stream, int level) {
    return deflateInit2(stream, level, Z_DEFLATED, MAX_WBITS + 16, MAX_MEM_LEVEL - 1, Z_DEFAULT_STRATEGY);
}

static inline int czlib_inflate_init(z_stream *stream) {
    return inflateInit2(stream, -MAX_WBITS);
}
