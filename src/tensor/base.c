/* Dtypes and the version. */
#include <pleat/base.h>

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

const char *pleat_version(void)
{
    return TEXT(PLEAT_VERSION_MAJOR) "." TEXT(PLEAT_VERSION_MINOR) "." TEXT(PLEAT_VERSION_PATCH);
}

const char *pleat_dtype_name(pleat_dtype dtype)
{
    switch (dtype) {
    case PLEAT_F32:
        return "float32";
    case PLEAT_F64:
        return "float64";
    case PLEAT_I64:
        return "int64";
    case PLEAT_U8:
        return "uint8";
    }
    return "invalid";
}

size_t pleat_dtype_size(pleat_dtype dtype)
{
    switch (dtype) {
    case PLEAT_F32:
        return sizeof(float);
    case PLEAT_F64:
        return sizeof(double);
    case PLEAT_I64:
        return sizeof(int64_t);
    case PLEAT_U8:
        return sizeof(uint8_t);
    }
    return 0;
}
